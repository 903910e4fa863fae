using Xunit;

namespace Tributary.Tests.Edge.Mqtt.Support;

internal static class Wait
{
    /// <summary>Waits for something that must come true.</summary>
    public static async Task Until(Func<bool> holds)
    {
        long start = TimeProvider.System.GetTimestamp();
        while (!holds())
        {
            Assert.True(TimeProvider.System.GetElapsedTime(start) < ScriptedClient.Deadline, "it did not come true");
            await Task.Delay(2);
        }
    }
}
