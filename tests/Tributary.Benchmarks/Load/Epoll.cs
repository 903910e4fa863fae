using System.Runtime.InteropServices;

namespace Tributary.Benchmarks.Load;

/// <summary>
/// Linux' epoll, and send and receive that never wait: one thread drives thousands of connections without a runtime between it and the
/// kernel, so that the load costs less than what is measured. Used by one thread.
/// </summary>
internal sealed unsafe partial class Epoll : IDisposable
{
    public const uint Readable = 0x001;
    public const uint Writable = 0x004;
    private const int Add = 1;
    private const int Modify = 3;
    private const int DontWait = 0x40;
    private const int NoSignal = 0x4000;
    private const int TryAgain = 11;
    private const int Interrupted = 4;
    private const int MaxEvents = 256;

    // struct epoll_event is packed on x86-64 only.
    private static readonly int DataOffset = RuntimeInformation.ProcessArchitecture == Architecture.X64 ? 4 : 8;
    private static readonly int EventSize = DataOffset + 8;
    private readonly byte[] _events = new byte[MaxEvents * EventSize];
    private readonly int _epoll;

    public Epoll()
    {
        if (!OperatingSystem.IsLinux())
        {
            throw new InvalidOperationException("the load generator runs on Linux only");
        }
        _epoll = Check(Native.Create(0), "epoll_create1");
    }

    /// <summary>Watches a socket; <paramref name="tag"/> comes back from <see cref="Wait"/>.</summary>
    public void Watch(int socket, int tag, uint events) => Control(Add, socket, tag, events);

    /// <summary>Changes what a socket is watched for.</summary>
    public void Change(int socket, int tag, uint events) => Control(Modify, socket, tag, events);

    /// <summary>Waits for events.</summary>
    /// <returns>How many there are; <see cref="Event"/> gives each.</returns>
    public int Wait(int milliseconds)
    {
        fixed (byte* events = _events)
        {
            int count = Native.Wait(_epoll, events, MaxEvents, milliseconds);
            return count < 0 && Marshal.GetLastPInvokeError() == Interrupted ? 0 : Check(count, "epoll_wait");
        }
    }

    public (int Tag, uint Events) Event(int index)
    {
        ReadOnlySpan<byte> at = _events.AsSpan(index * EventSize, EventSize);
        return (MemoryMarshal.Read<int>(at[DataOffset..]), MemoryMarshal.Read<uint>(at));
    }

    /// <returns>Bytes sent, −1 if the socket takes none now.</returns>
    public static int Send(int socket, ReadOnlySpan<byte> bytes)
    {
        fixed (byte* from = bytes)
        {
            return Answer(Native.Send(socket, from, bytes.Length, DontWait | NoSignal), "send");
        }
    }

    /// <returns>Bytes received, 0 at the end of the connection, −1 if there are none now.</returns>
    public static int Receive(int socket, Span<byte> into)
    {
        fixed (byte* to = into)
        {
            return Answer(Native.Receive(socket, to, into.Length, DontWait), "recv");
        }
    }

    /// <inheritdoc/>
    public void Dispose() => Native.Close(_epoll);

    private static int Answer(nint result, string call)
    {
        if (result < 0 && Marshal.GetLastPInvokeError() is TryAgain or Interrupted)
        {
            return -1;
        }
        return Check((int)result, call);
    }

    private static int Check(int result, string call) => result >= 0
        ? result
        : throw new IOException($"{call} failed: {Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError())}");

    private void Control(int operation, int socket, int tag, uint events)
    {
        byte* description = stackalloc byte[EventSize];
        new Span<byte>(description, EventSize).Clear();
        *(uint*)description = events;
        *(int*)(description + DataOffset) = tag;
        Check(Native.Control(_epoll, operation, socket, description), "epoll_ctl");
    }

    private static partial class Native
    {
        [LibraryImport("libc", EntryPoint = "epoll_create1", SetLastError = true)]
        public static partial int Create(int flags);

        [LibraryImport("libc", EntryPoint = "epoll_ctl", SetLastError = true)]
        public static partial int Control(int epoll, int operation, int socket, byte* description);

        [LibraryImport("libc", EntryPoint = "epoll_wait", SetLastError = true)]
        public static partial int Wait(int epoll, byte* events, int most, int milliseconds);

        [LibraryImport("libc", EntryPoint = "send", SetLastError = true)]
        public static partial nint Send(int socket, byte* bytes, nint length, int flags);

        [LibraryImport("libc", EntryPoint = "recv", SetLastError = true)]
        public static partial nint Receive(int socket, byte* bytes, nint length, int flags);

        [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
        public static partial int Close(int descriptor);
    }
}
