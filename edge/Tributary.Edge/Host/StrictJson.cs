using System.Text.Json;

namespace Tributary.Edge.Host;

/// <summary>Reads objects of files that users write, in which nothing may stand twice.</summary>
internal static class StrictJson
{
    /// <summary>Goes to the value of the next member.</summary>
    /// <param name="reader">Where it stands.</param>
    /// <param name="seen">Names that the object had so far; the next one is added.</param>
    /// <returns>Its name, null at the object's end.</returns>
    /// <exception cref="FormatException">The object has the name already.</exception>
    public static string? NextMember(ref Utf8JsonReader reader, HashSet<string> seen)
    {
        if (!reader.Read() || reader.TokenType == JsonTokenType.EndObject)
        {
            return null;
        }
        string name = reader.GetString()!;
        if (!seen.Add(name))
        {
            throw new FormatException($"'{name}' stands here twice");
        }
        reader.Read();
        return name;
    }

    /// <summary>Checks what stands here.</summary>
    /// <exception cref="FormatException">Something else does; the message is <paramref name="rule"/>.</exception>
    public static void Expect(in Utf8JsonReader reader, JsonTokenType type, string rule)
    {
        if (reader.TokenType != type)
        {
            throw new FormatException(rule);
        }
    }
}
