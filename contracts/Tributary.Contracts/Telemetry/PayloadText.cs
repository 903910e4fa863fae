using System.Text.Json;

namespace Tributary.Contracts.Telemetry;

/// <summary>Texts out of payloads.</summary>
public static class PayloadText
{
    /// <summary>Longest text that is taken, bytes.</summary>
    public const int MaxBytes = 1024;

    /// <summary>The text or number that stands at a path, UTF-8, without allocation.</summary>
    /// <param name="path">Where it stands.</param>
    /// <param name="payload">JSON, or anything else.</param>
    /// <param name="room">Where it is put if it has escapes, at least <see cref="MaxBytes"/>.</param>
    /// <param name="text">What was found: never empty.</param>
    /// <returns>False if it isn't there, is empty, longer than <see cref="MaxBytes"/> or neither text nor number.</returns>
    public static bool TryRead(PayloadPath path, ReadOnlySpan<byte> payload, Span<byte> room, out ReadOnlySpan<byte> text)
    {
        text = default;
        if (!path.TryFind(payload, out ReadOnlySpan<byte> value))
        {
            return false;
        }
        if (value is not [(byte)'"', .. ReadOnlySpan<byte> inner, (byte)'"'])
        {
            text = value;
            return value.Length <= MaxBytes && PayloadPath.TryNumberOf(value, out _);
        }
        text = inner;
        if (inner.Length is 0 or > MaxBytes)
        {
            return false;
        }
        return inner.Contains((byte)'\\') ? TryUnescape(value, room, out text) : System.Text.Unicode.Utf8.IsValid(inner);
    }

    private static bool TryUnescape(ReadOnlySpan<byte> quoted, Span<byte> room, out ReadOnlySpan<byte> text)
    {
        text = default;
        try
        {
            var reader = new Utf8JsonReader(quoted);
            text = reader.Read() && reader.TokenType == JsonTokenType.String ? room[..reader.CopyString(room)] : default;
            return !text.IsEmpty;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            return false; // an escape that is none, or half a surrogate pair
        }
    }
}
