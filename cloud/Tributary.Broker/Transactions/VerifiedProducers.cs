namespace Tributary.Broker.Transactions;

/// <summary>
/// Producers of whom it is being asked, or was found, that a partition or a group belongs to their open transaction (KIP-890). What comes
/// first in a transaction is taken only with the number that was given out before the coordinator was asked, and the transaction's end
/// takes the number back: otherwise what was long on its way would begin a transaction that nobody ends. Called under its owner's lock. A
/// crash leaves nothing: whoever writes is verified again.
/// </summary>
internal sealed class VerifiedProducers
{
    /// <summary>Producers at a time; when there are more, all must be verified again.</summary>
    internal const int MaxProducers = 65_536;

    private Dictionary<long, long>? _numbers;
    private long _last;

    /// <summary>Begins to verify, or goes on: requests of one producer that are under way together share a number.</summary>
    public long Begin(long producerId)
    {
        _numbers ??= [];
        if (_numbers.TryGetValue(producerId, out long number))
        {
            return number;
        }
        if (_numbers.Count >= MaxProducers)
        {
            _numbers.Clear();
        }
        _numbers[producerId] = ++_last;
        return _last;
    }

    /// <summary>Whether the number is still in force.</summary>
    public bool Allow(long producerId, long number) =>
        _numbers is not null && _numbers.TryGetValue(producerId, out long current) && current == number;

    /// <summary>Its transaction has begun or ended here.</summary>
    public void Forget(long producerId) => _numbers?.Remove(producerId);

    /// <summary>Forgets all.</summary>
    public void Clear() => _numbers = null;
}
