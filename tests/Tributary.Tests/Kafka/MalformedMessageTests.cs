using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Tests.Kafka.Golden;
using Xunit;

namespace Tributary.Tests.Kafka;

/// <summary>Whatever is received, reading it ends in a message or in one kind of exception, and takes memory for what is there.</summary>
public sealed class MalformedMessageTests
{
    private const int MutationsPerMessage = 300;
    private static readonly byte[][] HostileNumbers =
    [
        [0x7F, 0xFF, 0xFF, 0xFF], [0xFF, 0xFF, 0xFF, 0xFF], [0x80, 0x00, 0x00, 0x00], [0x00, 0xFF, 0xFF, 0xFF],
        [0x7F, 0xFF], [0x80, 0x00], [0xFF, 0xFF, 0xFF, 0xFF, 0x0F], [0xFF, 0xFF, 0xFF, 0xFF, 0x07], [0xFF, 0xFF, 0x03],
    ];

    [Fact]
    public void A_message_that_ends_early_is_refused_at_each_byte()
    {
        foreach ((GoldenCase golden, short version) in GoldenCases.EachLayout)
        {
            for (int length = 0; length < golden.Bytes.Length; length++)
            {
                ReadOnlyMemory<byte> part = golden.Bytes.AsMemory(0, length);
                KafkaProtocolException e = Assert.Throws<KafkaProtocolException>(() => golden.Probe(part, version));
                Assert.StartsWith(golden.Message.Name, e.Field, StringComparison.Ordinal);
                Assert.InRange(e.Position, 0, length);
            }
        }
    }

    [Fact]
    public void What_follows_a_request_is_ignored_as_by_Kafka()
    {
        foreach ((GoldenCase golden, short version) in GoldenCases.EachVersion.Where(pair => pair.Case.IsRequest))
        {
            Assert.Equal(golden.Rewrite(golden.Bytes, version), golden.Rewrite((byte[])[.. golden.Bytes, 1, 0, 0], version));
        }
    }

    [Fact]
    public void Metadata_for_all_topics_is_read_as_librdkafka_sends_it()
    {
        // Four bytes for the null that needs one (confluentinc/librdkafka, issue 5049), then create, authorized operations, no tags.
        var reader = new KafkaReader(new byte[] { 0, 0, 0, 0, 1, 0, 0 });
        Assert.Null(MetadataRequest.Read(ref reader, 13).Topics);
    }

    [Fact]
    public void Unknown_tagged_fields_are_skipped_wherever_they_are()
    {
        byte[] unknown = new Wire().Tags((999, new Wire().Hex("AA BB")), (70_000, new Wire())).Bytes;
        foreach ((GoldenCase golden, short version) in GoldenCases.EachVersion)
        {
            foreach (int end in golden.StructureEnds)
            {
                byte[] bytes = [.. golden.Bytes[..end], .. unknown, .. golden.Bytes[(end + 1)..]];
                Assert.Equal(golden.Values, golden.Read(bytes, version));
            }
        }
    }

    [Fact]
    public void A_hostile_number_at_any_place_takes_no_memory()
    {
        foreach ((GoldenCase golden, short version) in GoldenCases.EachLayout)
        {
            foreach (byte[] number in HostileNumbers)
            {
                for (int at = 0; at + number.Length <= golden.Bytes.Length; at++)
                {
                    byte[] bytes = [.. golden.Bytes];
                    number.CopyTo(bytes, at);
                    AssertBounded(golden, version, bytes, $"{Convert.ToHexString(number)} at {at}");
                }
            }
        }
    }

    [Fact]
    public void Random_changes_end_in_a_message_or_in_a_protocol_exception()
    {
        int seed = 0;
        foreach ((GoldenCase golden, short version) in GoldenCases.EachLayout)
        {
            for (int i = 0; i < MutationsPerMessage; i++, seed++)
            {
                byte[] bytes = Mutate(golden.Bytes, new Random(seed));
                if (AssertBounded(golden, version, bytes, $"seed {seed}"))
                {
                    AssertStable(golden, version, bytes, seed);
                }
            }
        }
    }

    [Fact]
    public void A_frame_full_of_the_smallest_elements_is_refused_before_they_are_read()
    {
        const int Count = KafkaReader.MaxElements + 1;
        byte[] frame = [.. new Wire().CompactArray(Count).Bytes, .. new byte[2 * Count]];
        long before = GC.GetAllocatedBytesForCurrentThread();
        KafkaProtocolException e = Assert.Throws<KafkaProtocolException>(() =>
        {
            var reader = new KafkaReader(frame);
            MetadataRequest.Read(ref reader, 9);
        });
        Assert.Contains($"at most {KafkaReader.MaxElements}", e.Message, StringComparison.Ordinal);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 64 << 10);
    }

    /// <summary>Reads and checks what it took: an exception some kilobytes, an element up to a hundred bytes for one.</summary>
    /// <returns>Whether the bytes are a message.</returns>
    private static bool AssertBounded(GoldenCase golden, short version, byte[] bytes, string change)
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        bool isMessage = true;
        try
        {
            golden.Probe(bytes, version);
        }
        catch (KafkaProtocolException)
        {
            isMessage = false;
        }
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.True(allocated <= (64 << 10) + 128L * bytes.Length, $"{golden} {version}, {change}: {allocated} bytes for {bytes.Length}");
        return isMessage;
    }

    /// <summary>What was read is written and read again as the same.</summary>
    private static void AssertStable(GoldenCase golden, short version, byte[] bytes, int seed)
    {
        byte[] written = golden.Rewrite(bytes, version);
        Assert.True(
            written.AsSpan().SequenceEqual(golden.Rewrite(written, version)),
            $"{golden} {version}, seed {seed}: {Convert.ToHexString(bytes)}");
    }

    private static byte[] Mutate(byte[] original, Random random)
    {
        List<byte> bytes = [.. original];
        for (int changes = random.Next(1, 5); changes > 0; changes--)
        {
            int at = random.Next(bytes.Count + 1);
            switch (random.Next(5))
            {
                case 0 when at < bytes.Count:
                    bytes[at] = (byte)random.Next(256);
                    break;
                case 1 when at < bytes.Count:
                    bytes[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 2:
                    bytes.Insert(at, (byte)random.Next(256));
                    break;
                case 3 when at < bytes.Count:
                    bytes.RemoveRange(at, random.Next(1, bytes.Count - at + 1));
                    break;
                default:
                    bytes.InsertRange(at, bytes.GetRange(0, random.Next(bytes.Count + 1)));
                    break;
            }
        }
        return [.. bytes];
    }
}
