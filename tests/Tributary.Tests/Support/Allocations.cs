namespace Tributary.Tests.Support;

/// <summary>Counts what the calling thread allocates, for budgets that are tests.</summary>
internal static class Allocations
{
    private const int WarmUps = 50;
    private const int Calls = 200;

    /// <summary>Bytes that a call allocates on this thread once buffers are warm; fractions are rounded up.</summary>
    public static long PerCall(Action call)
    {
        for (int i = 0; i < WarmUps; i++)
        {
            call();
        }
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < Calls; i++)
        {
            call();
        }
        return (GC.GetAllocatedBytesForCurrentThread() - before + Calls - 1) / Calls;
    }
}
