using Xunit;

namespace Tributary.Tests.Edge.Mqtt.Support;

internal static class Wait
{
    /// <summary>Waits for something that must come true.</summary>
    public static Task Until(Func<bool> holds) => UntilAsync(() => Task.FromResult(holds()));

    /// <inheritdoc cref="Until"/>
    public static async Task UntilAsync(Func<Task<bool>> holds)
    {
        long start = TimeProvider.System.GetTimestamp();
        while (!await holds())
        {
            Assert.True(TimeProvider.System.GetElapsedTime(start) < ScriptedClient.Deadline, "it did not come true");
            await Task.Delay(2);
        }
    }
}
