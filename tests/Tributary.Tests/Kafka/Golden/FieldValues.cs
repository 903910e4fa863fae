using System.Globalization;
using System.Reflection;
using System.Text;
using Tributary.Contracts.Kafka;

namespace Tributary.Tests.Kafka.Golden;

/// <summary>A message as text, one line for each field, to be compared with another.</summary>
internal static class FieldValues
{
    public static string Of(object message) => Text(message);

    /// <summary>The fields, as <c>Structure.Field</c>, that have another value than in a new structure.</summary>
    public static IEnumerable<string> Changed(object message)
    {
        object fresh = Activator.CreateInstance(message.GetType())!;
        foreach (PropertyInfo property in message.GetType().GetProperties(BindingFlags.Public | BindingFlags.Instance))
        {
            object? value = property.GetValue(message);
            if (Text(value) != Text(property.GetValue(fresh)))
            {
                yield return $"{message.GetType().Name}.{property.Name}";
            }
            IEnumerable<object> parts = value is Array array ? array.Cast<object>() : value is null ? [] : [value];
            foreach (string inner in parts.Where(IsStructure).SelectMany(Changed))
            {
                yield return inner;
            }
        }
    }

    private static bool IsStructure(object value) => value.GetType() is { IsClass: true } type && type != typeof(string);

    private static string Text(object? value)
    {
        var text = new StringBuilder();
        Append(text, "", value);
        return text.ToString();
    }

    private static void Append(StringBuilder text, string path, object? value)
    {
        if (value is Array array)
        {
            text.Append(path).Append(".Length = ").Append(array.Length).Append('\n');
            for (int i = 0; i < array.Length; i++)
            {
                Append(text, $"{path}[{i}]", array.GetValue(i));
            }
        }
        else if (value is not null && IsStructure(value))
        {
            foreach (PropertyInfo property in value.GetType().GetProperties(BindingFlags.Public | BindingFlags.Instance))
            {
                Append(text, $"{path}.{property.Name}", property.GetValue(value));
            }
        }
        else
        {
            text.Append(path).Append(" = ").Append(Leaf(value)).Append('\n');
        }
    }

    private static string Leaf(object? value) => value switch
    {
        null => "null",
        string s => $"\"{s}\"",
        RecordBytes { IsNull: true } => "null",
        RecordBytes records => Convert.ToHexString(records.Span),
        ReadOnlyMemory<byte> bytes => Convert.ToHexString(bytes.Span),
        IFormattable number => number.ToString(null, CultureInfo.InvariantCulture),
        _ => value.ToString()!,
    };
}
