using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Orleans.Storage;
using Tributary.Contracts.Records;

namespace Tributary.Cloud.Storage;

/// <summary>
/// Writes grains' records as JSON, so that an operator can read them with <c>sqlite3</c> and a newer program older ones: a member that is
/// missing has the default that the record gives it, one that is unknown is skipped. By reflection: generated code sets members that are
/// <c>init</c> and missing to null or zero. A checksum stands behind the JSON as a comment, since SQLite has none; records of before have
/// none either.
/// </summary>
internal sealed class RecordSerializer : IGrainStorageSerializer
{
    private static ReadOnlySpan<byte> SealEnd => "*/"u8;

    private const int SealSize = 19;

    private static readonly JsonSerializerOptions Format = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        TypeInfoResolver = new DefaultJsonTypeInfoResolver(),
    };

    /// <inheritdoc/>
    public BinaryData Serialize<T>(T? input)
    {
        byte[] json = JsonSerializer.SerializeToUtf8Bytes(input, Format);
        return new BinaryData((byte[])[.. json, .. Seal(json)]);
    }

    /// <inheritdoc/>
    /// <exception cref="StoredRecordException">The record is damaged.</exception>
    public T Deserialize<T>(BinaryData input)
    {
        ReadOnlySpan<byte> json = input.ToMemory().Span;
        try
        {
            if (json.EndsWith(SealEnd))
            {
                ReadOnlySpan<byte> sealing = json[^SealSize..];
                json = json[..^SealSize];
                if (!sealing.SequenceEqual(Seal(json)))
                {
                    throw new StoredRecordException(typeof(T), "its checksum does not match");
                }
            }
            return JsonSerializer.Deserialize<T>(json, Format) ?? throw new StoredRecordException(typeof(T), "it is null");
        }
        catch (Exception e) when (e is JsonException or ArgumentOutOfRangeException)
        {
            throw new StoredRecordException(typeof(T), e.Message);
        }
    }

    private static byte[] Seal(ReadOnlySpan<byte> json) =>
        Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"/*crc32c {Crc32C.Compute(json):x8}*/"));
}

/// <summary>What a grain has stored can't be read; the message says which and what to do.</summary>
internal sealed class StoredRecordException(Type record, string why)
    : Exception($"the stored {record.Name} in {ControlDatabase.FileName} is damaged ({why}): put the file back from a backup");
