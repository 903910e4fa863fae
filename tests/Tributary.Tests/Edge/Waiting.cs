using System.Diagnostics;
using System.Runtime.CompilerServices;
using Xunit;

namespace Tributary.Tests.Edge;

/// <summary>Waits for conditions of other threads and processes.</summary>
internal static class Waiting
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);

    /// <summary>Waits until <paramref name="condition"/> is true; fails long after it should have been.</summary>
    public static async Task Until(Func<bool> condition, [CallerArgumentExpression(nameof(condition))] string what = "")
    {
        var started = Stopwatch.StartNew();
        while (!condition())
        {
            Assert.True(started.Elapsed < Deadline, $"it did not come true in time: {what}");
            await Task.Delay(1);
        }
    }

    /// <inheritdoc cref="Until(Func{bool}, string)"/>
    public static async Task Until(Func<Task<bool>> condition, [CallerArgumentExpression(nameof(condition))] string what = "")
    {
        var started = Stopwatch.StartNew();
        while (!await condition())
        {
            Assert.True(started.Elapsed < Deadline, $"it did not come true in time: {what}");
            await Task.Delay(10);
        }
    }
}
