namespace Tributary.Kafka.Generator;

/// <summary>Versions from <paramref name="Low"/> to <paramref name="High"/>, both inclusive.</summary>
internal readonly record struct VersionRange(int Low, int High)
{
    /// <summary>The end of a range that is written <c>N+</c>.</summary>
    public const int Open = short.MaxValue;

    public bool IsEmpty => Low > High;

    public bool Contains(int version) => version >= Low && version <= High;

    public bool Covers(VersionRange other) => Low <= other.Low && High >= other.High;

    public VersionRange Intersect(VersionRange other) => new(Math.Max(Low, other.Low), Math.Min(High, other.High));

    public override string ToString() => High == Open ? $"{Low}+" : Low == High ? $"{Low}" : $"{Low}-{High}";
}

/// <summary>What a field, or an element of an array, is.</summary>
internal enum FieldKind
{
    Bool,
    Int8,
    Int16,
    UInt16,
    Int32,
    UInt32,
    Int64,
    Float64,

    /// <summary>An int16 that is an error code.</summary>
    Error,
    Uuid,
    String,
    Bytes,
    Records,
    Struct,
}

/// <summary>A field of a structure.</summary>
internal sealed record FieldSchema
{
    public string Name { get; init; } = "";

    public string Docs { get; init; } = "";

    public FieldKind Kind { get; init; }

    /// <summary>The structure, for <see cref="FieldKind.Struct"/>.</summary>
    public StructSchema? Struct { get; init; }

    public bool IsArray { get; init; }

    /// <summary>Versions that have it, within those of the API.</summary>
    public VersionRange Versions { get; init; }

    /// <summary>Versions in which it may be null, within <see cref="Versions"/>.</summary>
    public VersionRange? Nullable { get; init; }

    public uint? Tag { get; init; }

    /// <summary>Whether a value may silently be left out of a version that doesn't have the field.</summary>
    public bool IsIgnorable { get; init; }

    /// <summary>The default as C#, null for that of the type.</summary>
    public string? Default { get; init; }

    /// <summary>Whether it is a structure that is null when it isn't sent.</summary>
    public bool IsOptionalStruct => Kind == FieldKind.Struct && !IsArray && (Tag is not null || Nullable is not null);
}

/// <summary>A named structure of a message.</summary>
internal sealed class StructSchema(string name, Token origin = default)
{
    public string Name { get; } = name;

    /// <summary>Where it is first used.</summary>
    public Token Origin { get; } = origin;

    public List<FieldSchema> Fields { get; } = [];
}

/// <summary>A request or response.</summary>
internal sealed class MessageSchema(string name, string docs)
{
    public string Name { get; } = name;

    public string Docs { get; } = docs;

    public StructSchema Root { get; } = new(name);

    /// <summary>The structures in it, in the order of their first use.</summary>
    public List<StructSchema> Structs { get; } = [];
}

/// <summary>One schema file.</summary>
internal sealed class ApiSchema
{
    public short Key { get; set; } = -1;

    public string Name { get; set; } = "";

    public VersionRange Versions { get; set; }

    /// <summary>The first version in the compact encoding, <see cref="VersionRange.Open"/> if there is none.</summary>
    public int FirstFlexible { get; set; } = VersionRange.Open;

    public MessageSchema? Request { get; set; }

    public MessageSchema? Response { get; set; }
}

/// <summary>A mistake in a schema: where, and what.</summary>
internal sealed class SchemaException(int line, int column, int length, string message) : Exception(message)
{
    /// <summary>Line, from 0.</summary>
    public int Line { get; } = line;

    /// <summary>Column, from 0.</summary>
    public int Column { get; } = column;

    /// <summary>Characters that it is about.</summary>
    public int Length { get; } = length;
}
