namespace Tributary.Tests.Edge.Support;

/// <summary>Waits on the calling thread for conditions, with a deadline that only a defect reaches.</summary>
internal static class Blocking
{
    public static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);

    /// <summary>For conditions that nobody announces.</summary>
    public static void Until(Func<bool> condition, string what) =>
        Xunit.Assert.True(SpinWait.SpinUntil(condition, Deadline), $"not within the deadline: {what}");
}
