using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace Tributary.Edge.Access;

/// <summary>What came of checking a password.</summary>
internal enum PasswordVerdict
{
    Wrong,
    Right,

    /// <summary>As many wait as may; it was not looked at.</summary>
    Busy,

    /// <summary>Others were wrong meanwhile, so that it may not be tried now.</summary>
    BackOff,
}

/// <summary>
/// Checks passwords on threads of its own: what costs milliseconds of a processor by intent must hold up no other client, and a flood of
/// it must leave the processors to those who are in. So there are few threads, with the lowest claim to a processor, and at most
/// <see cref="MaxWaiting"/> passwords wait.
/// <para>A password that was once found right is known again for the life of the process by a code under a random key, at no cost to speak
/// of: a thousand devices that come back together are let in at once. A wrong one always costs a whole check.</para>
/// <para>Callable from any thread. Threads are begun with the first check.</para>
/// </summary>
internal sealed partial class PasswordChecks(AccessMetrics metrics) : IDisposable
{
    /// <summary>Most passwords that wait.</summary>
    public const int MaxWaiting = 256;

    private const int LeastClaim = 19;
    private readonly byte[] _key = RandomNumberGenerator.GetBytes(32);
    private readonly BlockingCollection<Check> _waiting = new(MaxWaiting);
    private readonly Lock _lock = new();
    private Thread[]? _threads;

    /// <summary>Checks a password.</summary>
    /// <param name="password">The password, which is copied.</param>
    /// <param name="hash">What it must match.</param>
    /// <param name="cancellation">Nobody waits for it any more.</param>
    /// <param name="mayTry">Asked when its turn has come: many that came at once are not all to be tried.</param>
    /// <param name="tried">Told whether it was right, before the next one has its turn.</param>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public async ValueTask<PasswordVerdict> CheckAsync(
        byte[] password, PasswordHash hash, CancellationToken cancellation, Func<bool>? mayTry = null, Action<bool>? tried = null)
    {
        if (IsKnown(password, hash))
        {
            tried?.Invoke(true);
            return PasswordVerdict.Right;
        }
        Begin();
        // A copy of its own: whoever is cancelled goes on, and clears the password while it is looked at.
        var check = new Check(
            [.. password], hash, new TaskCompletionSource<PasswordVerdict>(TaskCreationOptions.RunContinuationsAsynchronously), cancellation, mayTry, tried);
        if (!TryQueue(check))
        {
            CryptographicOperations.ZeroMemory(check.Password);
            return PasswordVerdict.Busy;
        }
        return await check.Result.Task.WaitAsync(cancellation);
    }

    /// <summary>Ends the threads; what waits is cancelled.</summary>
    public void Dispose()
    {
        _waiting.CompleteAdding();
        foreach (Thread thread in _threads ?? [])
        {
            thread.Join();
        }
        _waiting.Dispose();
        CryptographicOperations.ZeroMemory(_key);
    }

    private bool TryQueue(Check check)
    {
        try
        {
            return _waiting.TryAdd(check);
        }
        catch (InvalidOperationException)
        {
            return false; // the agent stops
        }
    }

    private bool IsKnown(byte[] password, PasswordHash hash) =>
        hash.Proof is { } known && CryptographicOperations.FixedTimeEquals(Proof(password), known);

    private byte[] Proof(byte[] password) => HMACSHA256.HashData(_key, password);

    private void Begin()
    {
        if (Volatile.Read(ref _threads) is not null)
        {
            return;
        }
        lock (_lock)
        {
            if (_threads is null)
            {
                var threads = new Thread[Math.Clamp(Environment.ProcessorCount / 2, 1, 4)];
                for (int i = 0; i < threads.Length; i++)
                {
                    threads[i] = new Thread(Run, 256 << 10) { IsBackground = true, Name = "passwords" };
                    threads[i].Start();
                }
                Volatile.Write(ref _threads, threads);
            }
        }
    }

    private void Run()
    {
        if (OperatingSystem.IsLinux())
        {
            _ = SetPriority(0, 0, LeastClaim); // of this thread; if it fails, they are still few
        }
        foreach (Check check in _waiting.GetConsumingEnumerable())
        {
            try
            {
                if (_waiting.IsAddingCompleted || check.Cancellation.IsCancellationRequested)
                {
                    check.Result.TrySetCanceled();
                    continue;
                }
                check.Result.TrySetResult(Decide(check));
            }
            finally
            {
                CryptographicOperations.ZeroMemory(check.Password);
            }
        }
    }

    private PasswordVerdict Decide(Check check)
    {
        bool isRight = IsKnown(check.Password, check.Hash); // by one that was before it
        if (!isRight)
        {
            if (check.MayTry?.Invoke() == false)
            {
                return PasswordVerdict.BackOff;
            }
            long start = TimeProvider.System.GetTimestamp();
            isRight = check.Hash.Verify(check.Password);
            metrics.PasswordChecked(TimeProvider.System.GetElapsedTime(start));
            if (isRight)
            {
                check.Hash.Proof = Proof(check.Password);
            }
        }
        check.Tried?.Invoke(isRight);
        return isRight ? PasswordVerdict.Right : PasswordVerdict.Wrong;
    }

    /// <summary>setpriority(2): which = 0 is a process, on Linux a thread; who = 0 is the calling one.</summary>
    [LibraryImport("libc", EntryPoint = "setpriority")]
    private static partial int SetPriority(int which, int who, int priority);

    private sealed record Check(
        byte[] Password, PasswordHash Hash, TaskCompletionSource<PasswordVerdict> Result, CancellationToken Cancellation, Func<bool>? MayTry, Action<bool>? Tried);
}
