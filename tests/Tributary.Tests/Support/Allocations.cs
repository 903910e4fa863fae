namespace Tributary.Tests.Support;

/// <summary>Counts what the calling thread allocates, for budgets that are tests.</summary>
internal static class Allocations
{
    private const int WarmUps = 50;
    private const int Calls = 200;
    private const int Rounds = 5;

    /// <summary>
    /// Bytes that a call allocates on this thread once buffers are warm; fractions are rounded up. The least of some rounds: a collection
    /// in between counts the unused rest of the thread's allocation context, some kilobytes, as allocated.
    /// </summary>
    public static long PerCall(Action call)
    {
        for (int i = 0; i < WarmUps; i++)
        {
            call();
        }
        long least = long.MaxValue;
        for (int round = 0; round < Rounds && least > 0; round++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < Calls; i++)
            {
                call();
            }
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }
        return (least + Calls - 1) / Calls;
    }
}
