using System.Net;
using Tributary.Contracts.Limits;

namespace Tributary.Edge.Access;

/// <summary>
/// Makes whoever tries passwords wait: after <see cref="FreeTries"/> wrong ones for a user from an address, twice as long after each
/// further one. Kept for each user and address, so that nobody can lock a user out from elsewhere, nor a gateway's other users. Callable
/// from any thread; at most <see cref="MaxEntries"/> are remembered.
/// </summary>
internal sealed class LoginBackOff(TimeProvider time)
{
    /// <summary>Wrong passwords that cost no wait.</summary>
    public const int FreeTries = 3;

    /// <summary>Most users and addresses that are remembered; the one that may try soonest gives way.</summary>
    public const int MaxEntries = 4096;

    /// <summary>The first wait and the longest one.</summary>
    public static readonly TimeSpan FirstWait = TimeSpan.FromSeconds(1);

    /// <inheritdoc cref="FirstWait"/>
    public static readonly TimeSpan LongestWait = TimeSpan.FromSeconds(60);

    /// <summary>Time after the last wrong password until all is forgotten.</summary>
    public static readonly TimeSpan Forgotten = TimeSpan.FromMinutes(10);

    private readonly Lock _lock = new();
    private readonly Dictionary<(ulong? Address, string User), Tries> _tries = [];

    /// <summary>Whether a password may be tried now.</summary>
    public bool MayTry(EndPoint? remote, string user)
    {
        lock (_lock)
        {
            return !_tries.TryGetValue(Key(remote, user), out Tries tries) || Elapsed(tries) >= WaitAfter(tries.Count);
        }
    }

    /// <summary>A password was wrong.</summary>
    public void Failed(EndPoint? remote, string user)
    {
        (ulong?, string) key = Key(remote, user);
        lock (_lock)
        {
            int count = _tries.TryGetValue(key, out Tries before) && Elapsed(before) < Forgotten ? before.Count : 0;
            if (_tries.Count == MaxEntries && !_tries.ContainsKey(key))
            {
                _tries.Remove(_tries.MinBy(entry => WaitAfter(entry.Value.Count) - Elapsed(entry.Value)).Key);
            }
            _tries[key] = new Tries(Math.Min(count + 1, 64), time.GetTimestamp());
        }
    }

    /// <summary>A password was right.</summary>
    public void Succeeded(EndPoint? remote, string user)
    {
        lock (_lock)
        {
            _tries.Remove(Key(remote, user));
        }
    }

    private static (ulong? Address, string User) Key(EndPoint? remote, string user) => (ConnectionLimit.KeyOf(remote), user);

    private static TimeSpan WaitAfter(int count) => count < FreeTries
        ? TimeSpan.Zero
        : TimeSpan.FromSeconds(Math.Min(FirstWait.TotalSeconds * Math.Pow(2, count - FreeTries), LongestWait.TotalSeconds));

    private TimeSpan Elapsed(Tries tries) => time.GetElapsedTime(tries.LastAt);

    private readonly record struct Tries(int Count, long LastAt);
}
