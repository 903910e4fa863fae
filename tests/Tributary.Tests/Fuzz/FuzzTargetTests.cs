using System.Buffers.Binary;
using System.Text;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Records;
using Tributary.Tests.Broker.Support;
using Tributary.Tests.Edge.Mqtt.Support;
using Tributary.Tests.Kafka.Golden;
using Xunit;

namespace Tributary.Tests.Fuzz;

/// <summary>Each entry point of a decoder takes whatever there is, by seed.</summary>
public sealed class FuzzTargetTests
{
    private static readonly CompressionCodec[] Codecs = Enum.GetValues<CompressionCodec>();

    /// <summary>The order in which the entry point knows the APIs.</summary>
    private static readonly string[] ApiOrder =
        ["ApiVersions", "CreateTopics", "DescribeProducers", "Fetch", "InitProducerId", "ListOffsets", "Metadata", "Produce",
            "OffsetForLeaderEpoch"];

    private delegate void Target(ReadOnlySpan<byte> bytes);

    private static readonly Dictionary<string, (Target Target, byte[][] Samples)> Targets = new()
    {
        [nameof(FuzzTargets.KafkaRequest)] = (FuzzTargets.KafkaRequest, [.. new KafkaInputs("t", Guid.NewGuid()).Requests]),
        [nameof(FuzzTargets.KafkaResponse)] = (FuzzTargets.KafkaResponse, [.. Responses()]),
        [nameof(FuzzTargets.Batch)] = (FuzzTargets.Batch, [.. Codecs.Select(codec => Batches.Of(3, codec: codec))]),
        [nameof(FuzzTargets.Codec)] = (FuzzTargets.Codec, [.. Payloads()]),
        [nameof(FuzzTargets.MqttPackets)] = (FuzzTargets.MqttPackets, [.. ((int[])[4, 5]).SelectMany(Packages)]),
        [nameof(FuzzTargets.MqttFilters)] = (FuzzTargets.MqttFilters, [.. Texts("a/+/c\n#\na/b/#\na/b/c", "+/+\n$x/#\n/\n$x/y", "a\na/\n/a")]),
        [nameof(FuzzTargets.Route)] = (FuzzTargets.Route, [.. Texts("devices/{device}/{metric...}\ndevices/d1/a/b", "a/{b}\na/ü", "x/+/y\nx/1/y")]),
        [nameof(FuzzTargets.EdgeSettings)] = (FuzzTargets.EdgeSettings, [.. Texts(
            """{ "id": "e", "data": "d", "cloud": "h:1", "mqtt": { "listen": "0.0.0.0:1", "maxConnections": 5, "allowPlaintext": true, "allowAnonymous": true }, "buffer": { "maxDiskBytes": "4GiB" } }""",
            """{ "id": "e", "data": "d", "cloud": "[::1]:1", "uplink": { "codec": "lz4", "maxBackoff": "5s" }, /* x */ "log": { "level": "debug" }, }""")]),
        [nameof(FuzzTargets.UsersFile)] = (FuzzTargets.UsersFile, [.. Texts(
            """{ "users": { "a": { "password": "$pbkdf2-sha256$i=1000$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODw", "publish": ["a/%u/#"] } } }""",
            """{ "anonymous": { "publish": ["a/+", "%c"], "subscribe": ["#"], }, /* x */ "users": {} }""")]),
        [nameof(FuzzTargets.CloudSettings)] = (FuzzTargets.CloudSettings, [.. Texts(
            """{ "data": "d", "kafka": "127.0.0.1:0", "broker": { "maxFrameBytes": 1048576, "idleLimitMs": 1000 }, "log": { "commitWindowMs": 5 } }""",
            """{ "data": "d", "kafka": "[::]:9092", "maxTopics": 7, /* x */ }""")]),
        [nameof(FileFuzzTargets.ManifestFile)] = (FileFuzzTargets.ManifestFile, [Words(1, 0, 7, 0, 5, 1, 0, 4, 2, 1, 0, 9)]),
        [nameof(FileFuzzTargets.LeaderEpochFile)] = (FileFuzzTargets.LeaderEpochFile, [Words(2, 0, 0, 0, 5, 0, 100)]),
        [nameof(FileFuzzTargets.ProducerFile)] = (FileFuzzTargets.ProducerFile, [Words(0, 0, 1, 0, 7, 1, 0, 9, 0, 8, 1, 0, 0, 0, 9, 0, 0)]),
        [nameof(FileFuzzTargets.IndexFile)] = (FileFuzzTargets.IndexFile, [Words(0, 0, 0, 9, 0, 1000, 0, 5, 2, 0, 3, 500, 0, 7, 0, 6, 800)]),
        [nameof(FileFuzzTargets.CheckpointFile)] = (FileFuzzTargets.CheckpointFile, [Checkpoint()]),
        [nameof(FileFuzzTargets.IdentityFile)] = (FileFuzzTargets.IdentityFile, [[.. "TRPM"u8, 0, 1, 0, 0, .. new byte[20]]]),
        [nameof(FileFuzzTargets.SegmentFile)] = (FileFuzzTargets.SegmentFile, [.. Segments()]),
    };

    /// <summary>Those that open files or threads for each input are tried less often.</summary>
    private static readonly string[] OnFiles =
        [nameof(FuzzTargets.EdgeSettings), nameof(FuzzTargets.CloudSettings), nameof(FileFuzzTargets.SegmentFile)];

    public static TheoryData<string> Names => [.. Targets.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public async Task No_bytes_make_a_decoder_fail_otherwise_than_it_says(string name)
    {
        (Target target, byte[][] samples) = Targets[name];
        foreach (byte[] sample in samples)
        {
            target(sample);
        }
        foreach (int seed in FuzzRun.Seeds(FuzzRun.InputsPerTarget / (OnFiles.Contains(name) ? 5 : 1)))
        {
            await FuzzRun.RoundAsync(name, seed, random =>
            {
                for (int i = 0; i < FuzzRun.InputsPerRound; i++)
                {
                    byte[] input = Mutator.Mutate(random.Pick(samples), random.Pick(samples), random);
                    try
                    {
                        target(input);
                    }
                    catch (Exception e)
                    {
                        throw new InvalidOperationException($"input {i}, {Convert.ToHexString(input)}: {e}", e);
                    }
                }
                return Task.CompletedTask;
            });
        }
    }

    private static IEnumerable<byte[]> Responses() =>
        from golden in GoldenCases.All
        where !golden.IsRequest && golden.Api.Name != "Sample"
        let api = Array.IndexOf(ApiOrder, golden.Api.Name)
        where api >= 0
        select (byte[])[
            (byte)api, (byte)(golden.To - golden.Api.MinVersion), .. golden.Api.IsResponseHeaderFlexible(golden.To) ? [0] : Array.Empty<byte>(),
            .. golden.Bytes];

    private static IEnumerable<byte[]> Payloads()
    {
        byte[] content = Encoding.UTF8.GetBytes(string.Concat(Enumerable.Range(0, 500).Select(i => $"reading {i} ")));
        foreach (CompressionCodec codec in Codecs.Where(codec => codec != CompressionCodec.None))
        {
            byte[]? pooled = null;
            int size = Compression.Compress(codec, content, ref pooled, 0, 0);
            yield return [(byte)(codec - 1), .. pooled.AsSpan(0, size)];
        }
    }

    private static IEnumerable<byte[]> Packages(int level) =>
        MqttInputs.Beginnings(level).Concat(MqttInputs.Packages(level)).Select(packet => (byte[])[(byte)level, .. packet]);

    private static IEnumerable<byte[]> Texts(params string[] texts) => texts.Select(Encoding.UTF8.GetBytes);

    /// <summary>Numbers of 32 bits, which longer ones begin or end with: near enough to a file to be mutated into one.</summary>
    private static byte[] Words(params int[] words)
    {
        byte[] bytes = new byte[words.Length * sizeof(int)];
        for (int i = 0; i < words.Length; i++)
        {
            BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(i * sizeof(int)), words[i]);
        }
        return bytes;
    }

    private static byte[] Checkpoint()
    {
        var storage = new Tributary.Log.Storage.MemoryStorage();
        storage.CreateDirectory("d");
        var file = new Tributary.Edge.Uplink.CheckpointFile(storage, "d");
        file.Save(new Tributary.Edge.Uplink.UplinkCheckpoint { ClusterId = "cluster", ProducerId = 7, Acked = 9, Refused = [3, 4] });
        using Tributary.Log.Storage.IStorageFile saved = storage.Open(file.Path, create: false);
        byte[] bytes = new byte[saved.Length];
        saved.Read(0, bytes);
        return bytes;
    }

    private static IEnumerable<byte[]> Segments()
    {
        byte[] first = Batches.Of(3);
        byte[] second = Batches.Of(2, codec: CompressionCodec.Zstd);
        RecordBatch.Stamp(first, 0, 0);
        RecordBatch.Stamp(second, 3, 0);
        yield return [.. first, .. second];
        yield return [.. first, .. second, .. new byte[500]];
        yield return [.. first, .. first];
    }
}
