using System.Globalization;
using System.Runtime.InteropServices;

namespace Tributary.Benchmarks.Harness;

/// <summary>
/// A core for the client, which is this process, and another one for the server, so that neither takes the other's time and the ratio to
/// a ceiling says something.
/// </summary>
internal static partial class Cores
{
    private const int MaskBytes = 128;

    /// <summary>The core of this process.</summary>
    public const int Client = 0;

    /// <summary>The core of servers that are started, ours and the peer's.</summary>
    public const int Server = 1;

    /// <summary>What it says of itself.</summary>
    public static string Description => $"cores        client on core {Client}, server on core {Server}, the peer's server too";

    /// <summary>Puts this process, with all threads that it has and will have, on the client's core.</summary>
    /// <exception cref="InvalidOperationException">There are no two cores, or this is not Linux.</exception>
    public static void PinClient()
    {
        if (!OperatingSystem.IsLinux() || Environment.ProcessorCount < 2)
        {
            throw new InvalidOperationException("client and server need a core each, on Linux; --unpinned leaves them to the system");
        }
        foreach (string task in Directory.GetDirectories("/proc/self/task"))
        {
            Pin(int.Parse(Path.GetFileName(task), CultureInfo.InvariantCulture), Client, () => Directory.Exists(task));
        }
    }

    /// <summary>Puts the calling thread on a core.</summary>
    public static void PinThread(int core) => Pin(0, core, static () => true);

    private static void Pin(int thread, int core, Func<bool> isThere)
    {
        byte[] mask = new byte[MaskBytes];
        mask[core / 8] = (byte)(1 << (core % 8));
        if (Native.SetAffinity(thread, MaskBytes, mask) != 0 && isThere())
        {
            throw new InvalidOperationException($"a thread can't be put on core {core}: {Marshal.GetLastPInvokeErrorMessage()}");
        }
    }

    private static partial class Native
    {
        [LibraryImport("libc", EntryPoint = "sched_setaffinity", SetLastError = true)]
        public static partial int SetAffinity(int thread, nuint size, byte[] mask);
    }
}
