namespace Tributary.Contracts.Telemetry;

/// <summary>Which messages of a route go on to their Kafka topic, decided for each MQTT topic by itself. Immutable.</summary>
public abstract record MessageFilter
{
    private MessageFilter()
    {
    }

    /// <summary>The first of each <paramref name="Count"/> messages.</summary>
    /// <param name="Count">From 2.</param>
    public sealed record Every(int Count) : MessageFilter;

    /// <summary>A message when at least that time has passed since the last one that went on.</summary>
    /// <param name="Period">Above zero.</param>
    public sealed record AtMostEvery(TimeSpan Period) : MessageFilter;

    /// <summary>
    /// A message whose value differs enough from that of the last one that went on. One without such a value goes on, and so does the next
    /// one that has it.
    /// </summary>
    /// <param name="Path">Where the number stands.</param>
    /// <param name="Change">Least difference, if <paramref name="Percent"/> is null; no difference at all is never enough.</param>
    /// <param name="Percent">Least difference in percent of the last value.</param>
    /// <param name="AtLeastEvery">Time after which a message goes on whatever its value; null for none.</param>
    public sealed record Deadband(PayloadPath Path, double Change, double? Percent, TimeSpan? AtLeastEvery) : MessageFilter
    {
        /// <summary>What decimal fractions lose as binary ones: 20.6 − 20.1 is a little less than 0.5.</summary>
        private const double Rounding = 1e-12;

        /// <summary>Whether a value differs enough.</summary>
        public bool IsEnough(double before, double now)
        {
            double least = Percent is { } percent ? Math.Abs(before) * percent / 100 : Change;
            double slack = Rounding * Math.Max(Math.Abs(before), Math.Abs(now));
            return now != before && Math.Abs(now - before) >= least - slack;
        }
    }
}
