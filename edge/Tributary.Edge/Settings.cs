namespace Tributary.Edge;

/// <summary>Checks of settings, with errors that name them as a user writes them.</summary>
internal static class Settings
{
    /// <exception cref="ArgumentException">It does not hold.</exception>
    public static void Check(bool holds, string setting, string rule)
    {
        if (!holds)
        {
            throw new ArgumentException($"the setting '{setting}' {rule}");
        }
    }

    /// <exception cref="ArgumentException">The value is out of range.</exception>
    public static void Range<T>(string setting, T value, T least, T most)
        where T : IComparable<T> =>
        Check(value.CompareTo(least) >= 0 && value.CompareTo(most) <= 0, setting, $"is {value}; it must be from {least} to {most}");
}
