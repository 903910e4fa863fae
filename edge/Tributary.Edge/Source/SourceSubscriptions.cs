using System.Text.Json;
using System.Text.Json.Serialization;
using Tributary.Log.Storage;

namespace Tributary.Edge.Source;

/// <summary>
/// The file <c>source.json</c> in the data directory: which filters the agent's session at a broker has, so that those which the settings
/// don't name any more are given up. Written under a temporary name, flushed and renamed. One that is gone or damaged costs nothing but
/// that: subscriptions of the past may go on.
/// </summary>
/// <param name="Broker">HOST:PORT.</param>
/// <param name="ClientId">Client identifier of the session.</param>
/// <param name="Filters">What it is subscribed to.</param>
internal sealed record SourceSubscriptions(string Broker, string ClientId, string[] Filters)
{
    /// <summary>Name of the file.</summary>
    public const string FileName = "source.json";

    private const int MaxBytes = 1 << 20;

    /// <summary>What was written last, null if nothing can be read.</summary>
    public static SourceSubscriptions? Load(IStorage storage, string directory)
    {
        try
        {
            using IStorageFile file = storage.Open($"{directory}/{FileName}", create: false);
            byte[] bytes = new byte[Math.Min(file.Length, MaxBytes)];
            int read = file.Read(0, bytes);
            return JsonSerializer.Deserialize(bytes.AsSpan(0, read), SourceJson.Default.SourceSubscriptions);
        }
        catch (Exception e) when (e is IOException or JsonException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>Writes it.</summary>
    /// <exception cref="IOException">The disk failed.</exception>
    public void Save(IStorage storage, string directory)
    {
        string temporary = $"{directory}/{FileName}.tmp";
        using (IStorageFile file = storage.Open(temporary, create: true))
        {
            file.SetLength(0);
            file.Write(0, JsonSerializer.SerializeToUtf8Bytes(this, SourceJson.Default.SourceSubscriptions));
            file.Flush();
        }
        storage.Rename(temporary, $"{directory}/{FileName}");
        storage.SyncDirectory(directory);
    }
}

/// <summary>Reads and writes the file without reflection.</summary>
[JsonSerializable(typeof(SourceSubscriptions))]
internal sealed partial class SourceJson : JsonSerializerContext;
