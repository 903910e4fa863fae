using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Orleans.Storage;

namespace Tributary.Cloud.Storage;

/// <summary>
/// Writes grains' records as JSON, so that an operator can read them with <c>sqlite3</c> and a newer program older ones: a member that is
/// missing has the default that the record gives it, one that is unknown is skipped. By reflection: generated code sets members that are
/// <c>init</c> and missing to null or zero.
/// </summary>
internal sealed class RecordSerializer : IGrainStorageSerializer
{
    private static readonly JsonSerializerOptions Format = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        TypeInfoResolver = new DefaultJsonTypeInfoResolver(),
    };

    /// <inheritdoc/>
    public BinaryData Serialize<T>(T? input) => new(JsonSerializer.SerializeToUtf8Bytes(input, Format));

    /// <inheritdoc/>
    public T Deserialize<T>(BinaryData input) =>
        JsonSerializer.Deserialize<T>(input.ToMemory().Span, Format)
        ?? throw new JsonException($"a stored {typeof(T).Name} is null");
}
