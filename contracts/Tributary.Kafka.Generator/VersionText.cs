namespace Tributary.Kafka.Generator;

/// <summary>Questions about the version as C# conditions on a variable <c>version</c>.</summary>
internal static class VersionText
{
    /// <summary>
    /// Whether the version is in <paramref name="range"/>, given that it is in <paramref name="known"/>; "true" and "false" if that is
    /// certain.
    /// </summary>
    public static string Condition(VersionRange? range, VersionRange known)
    {
        if (range is not { } asked || asked.Intersect(known).IsEmpty)
        {
            return "false";
        }
        bool low = asked.Low > known.Low;
        bool high = asked.High < known.High;
        return (low, high) switch
        {
            (false, false) => "true",
            (true, false) => $"version >= {asked.Low}",
            (false, true) => $"version <= {asked.High}",
            _ when asked.Low == asked.High => $"version == {asked.Low}",
            _ => $"version is >= {asked.Low} and <= {asked.High}",
        };
    }

    /// <summary>Whether the version is flexible.</summary>
    public static string Flexible(ApiSchema api) => Condition(new VersionRange(api.FirstFlexible, VersionRange.Open), api.Versions);

    /// <summary>The fewest bytes that an element of an array takes, as an expression that may ask <c>flexible</c>.</summary>
    public static string MinSize(ApiSchema api, FieldSchema array)
    {
        FieldSchema element = array with { IsArray = false, Nullable = null };
        int? classic = null;
        int? flexible = null;
        for (int version = element.Versions.Low; version <= element.Versions.High; version++)
        {
            bool isFlexible = version >= api.FirstFlexible;
            int size = Math.Max(MinSizeAt(element, version, isFlexible), 1);
            if (isFlexible)
            {
                flexible = Math.Min(flexible ?? size, size);
            }
            else
            {
                classic = Math.Min(classic ?? size, size);
            }
        }
        return classic is null || flexible is null || classic == flexible ? $"{classic ?? flexible}" : $"flexible ? {flexible} : {classic}";
    }

    private static int MinSizeAt(FieldSchema field, int version, bool flexible) => field.Kind switch
    {
        FieldKind.Bool or FieldKind.Int8 => 1,
        FieldKind.Int16 or FieldKind.UInt16 or FieldKind.Error => 2,
        FieldKind.Int32 or FieldKind.UInt32 => 4,
        FieldKind.Int64 or FieldKind.Float64 => 8,
        FieldKind.Uuid => 16,
        FieldKind.String => flexible ? 1 : 2,
        FieldKind.Bytes or FieldKind.Records => flexible ? 1 : 4,
        _ when field.Nullable is { } range && range.Contains(version) => 1,
        _ => MinSizeAt(field.Struct!, version, flexible),
    };

    private static int MinSizeAt(StructSchema type, int version, bool flexible) =>
        (flexible ? 1 : 0) + type.Fields
            .Where(field => field.Tag is null && field.Versions.Contains(version))
            .Sum(field => field.IsArray ? (flexible ? 1 : 4) : MinSizeAt(field, version, flexible));
}
