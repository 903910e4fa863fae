using System.Text.Json;
using System.Text.Json.Serialization;
using Orleans.Storage;
using Tributary.Cloud.Grains;

namespace Tributary.Cloud.Storage;

/// <summary>
/// Writes grains' records as JSON, so that an operator can read them with <c>sqlite3</c> and a newer program older ones: a member that is
/// missing has its default, one that is unknown is skipped.
/// </summary>
internal sealed class RecordSerializer : IGrainStorageSerializer
{
    /// <inheritdoc/>
    public BinaryData Serialize<T>(T? input) =>
        new(JsonSerializer.SerializeToUtf8Bytes(input, typeof(T), RecordJson.Default));

    /// <inheritdoc/>
    public T Deserialize<T>(BinaryData input) =>
        (T?)JsonSerializer.Deserialize(input.ToMemory().Span, typeof(T), RecordJson.Default)
        ?? throw new JsonException($"a stored {typeof(T).Name} is null");
}

/// <summary>The records that are stored. A new one is added here.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(ClusterRecord))]
[JsonSerializable(typeof(TopicRecord))]
internal sealed partial class RecordJson : JsonSerializerContext;
