namespace Tributary.Kafka.Generator;

/// <summary>Fields as pieces of C#.</summary>
internal static class FieldText
{
    /// <summary>The type of a value, without array and null.</summary>
    public static string ElementType(FieldSchema field) => field.Kind switch
    {
        FieldKind.Bool => "bool",
        FieldKind.Int8 => "sbyte",
        FieldKind.Int16 => "short",
        FieldKind.UInt16 => "ushort",
        FieldKind.Int32 => "int",
        FieldKind.UInt32 => "uint",
        FieldKind.Int64 => "long",
        FieldKind.Float64 => "double",
        FieldKind.Error => "ErrorCode",
        FieldKind.Uuid => "Guid",
        FieldKind.String => "string",
        FieldKind.Bytes => "ReadOnlyMemory<byte>",
        FieldKind.Records => "RecordBytes",
        _ => field.Struct!.Name,
    };

    /// <summary>The type of the property.</summary>
    public static string PropertyType(FieldSchema field)
    {
        bool canBeNull = field.IsOptionalStruct || (field.Nullable is not null && field.Kind != FieldKind.Records);
        return ElementType(field) + (field.IsArray ? "[]" : "") + (canBeNull ? "?" : "");
    }

    /// <summary>What the property is at first, empty for the type's own default.</summary>
    public static string Initial(FieldSchema field)
    {
        if (field.Default is { } given)
        {
            return given is "null" or "0" or "false" ? "" : given;
        }
        return field switch
        {
            { IsArray: true } => "[]",
            { Kind: FieldKind.String } => "\"\"",
            { Kind: FieldKind.Bytes, Nullable: not null } => "ReadOnlyMemory<byte>.Empty",
            { Kind: FieldKind.Struct, IsOptionalStruct: false } => "new()",
            _ => "",
        };
    }

    /// <summary>When the field is there, as a sentence; empty if always.</summary>
    public static string When(FieldSchema field, ApiSchema api)
    {
        var parts = new List<string>();
        if (!field.Versions.Covers(api.Versions))
        {
            parts.Add((field.Versions.Low > api.Versions.Low, field.Versions.High < api.Versions.High) switch
            {
                (true, false) => $"From version {field.Versions.Low}",
                (false, true) => $"Up to version {field.Versions.High}",
                _ => $"Versions {field.Versions}",
            });
        }
        if (field.Tag is { } tag)
        {
            parts.Add(parts.Count == 0 ? $"Tag {tag}" : $"tag {tag}");
        }
        return parts.Count == 0 ? "" : string.Join(", ", parts) + ".";
    }

    /// <summary>Whether the property has another value than its default.</summary>
    public static string IsSet(FieldSchema field)
    {
        string name = field.Name;
        if (field.Default == "null" || field.IsOptionalStruct)
        {
            return $"{name} is not null";
        }
        if (field.IsArray)
        {
            return field.Nullable is null ? $"{name}.Length > 0" : $"{name} is not {{ Length: 0 }}";
        }
        return field.Kind switch
        {
            FieldKind.Bool => field.Default == "true" ? $"!{name}" : name,
            FieldKind.String => $"{name} != {field.Default ?? "\"\""}",
            FieldKind.Bytes => field.Nullable is null ? $"{name}.Length > 0" : $"{name} is not {{ Length: 0 }}",
            FieldKind.Records => $"({name}.IsNull || {name}.Size > 0)",
            FieldKind.Error => $"{name} != ErrorCode.None",
            FieldKind.Uuid => $"{name} != Guid.Empty",
            _ => $"{name} != {field.Default ?? "0"}",
        };
    }

    /// <summary>An expression that reads one value.</summary>
    public static string ReadValue(FieldSchema field, string literal, string flexible, string nullable) => field.Kind switch
    {
        FieldKind.Bool => $"reader.ReadBoolean({literal})",
        FieldKind.Error => $"(ErrorCode)reader.ReadInt16({literal})",
        FieldKind.String or FieldKind.Bytes when nullable == "false" => $"reader.Read{field.Kind}({literal}, {flexible})",
        FieldKind.String or FieldKind.Bytes or FieldKind.Records => $"reader.Read{field.Kind}({literal}, {flexible}, {nullable})",
        FieldKind.Struct => $"{field.Struct!.Name}.Read(ref reader, version)",
        _ => $"reader.Read{field.Kind}({literal})",
    };

    /// <summary>A statement that writes one value.</summary>
    public static string WriteValue(FieldSchema field, string writer, string literal, string flexible, string value, string nullable)
    {
        return field.Kind switch
        {
            FieldKind.Bool => $"{writer}.WriteBoolean({value});",
            FieldKind.Error => $"{writer}.WriteInt16((short){value});",
            FieldKind.String or FieldKind.Bytes or FieldKind.Records =>
                $"{writer}.Write{field.Kind}({literal}, {value}, {flexible}, {nullable});",
            FieldKind.Struct => $"{value}{(field.IsOptionalStruct ? "!" : "")}.Write(ref {writer}, version);",
            _ => $"{writer}.Write{field.Kind}({value});",
        };
    }
}
