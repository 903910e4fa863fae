using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace Tributary.Conformance.Harness;

/// <summary>Waits for conditions of other processes, with a deadline so generous that only a fault reaches it.</summary>
internal static class Until
{
    /// <summary>How long something may take on a machine that is busy with other tests.</summary>
    public static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);

    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(20);

    /// <summary>Asks until the answer is yes. What asking throws counts as no.</summary>
    /// <exception cref="TimeoutException">It did not become true.</exception>
    public static Task TrueAsync(
        Func<Task<bool>> asks, Func<string>? story = null, TimeSpan? deadline = null, [CallerArgumentExpression(nameof(asks))] string? what = null) =>
        AnswerAsync<object>(async () => await asks() ? Pause : null, story, deadline, what);

    /// <summary>Asks until there is an answer. What asking throws counts as none.</summary>
    /// <exception cref="TimeoutException">There was none.</exception>
    public static async Task<T> AnswerAsync<T>(
        Func<Task<T?>> asks, Func<string>? story = null, TimeSpan? deadline = null, [CallerArgumentExpression(nameof(asks))] string? what = null)
        where T : class
    {
        long start = Stopwatch.GetTimestamp();
        Exception? last = null;
        while (Stopwatch.GetElapsedTime(start) < (deadline ?? Deadline))
        {
            try
            {
                if (await asks() is { } answer)
                {
                    return answer;
                }
            }
            catch (Exception e) when (e is not OutOfMemoryException)
            {
                last = e;
            }
            await Task.Delay(Pause);
        }
        throw new TimeoutException($"not within {deadline ?? Deadline}: {what}\n{story?.Invoke()}\n{last?.Message}", last);
    }
}
