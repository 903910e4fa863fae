namespace Tributary.Cloud.Grains;

/// <summary>
/// A grain whose memory is one stored record. A decision counts when <see cref="StoreAsync"/> has returned: it replaces the record by
/// compare-and-swap, so of two activations that decide on the same one (a single activation is no lock) one fails and starts over from
/// what is stored. Orleans runs one call at a time; a crash leaves the record as it was before or after a write.
/// </summary>
internal abstract class RecordGrain<T>(IPersistentState<T> stored) : Grain
    where T : class, new()
{
    /// <summary>The record as it is stored; its defaults if there is none.</summary>
    protected T Record => stored.State;

    /// <summary>Whether a record is stored.</summary>
    protected bool Exists => stored.RecordExists;

    /// <summary>
    /// Forgets the record, by compare-and-swap too. Its place keeps its version, so whoever still holds the old record can't write it again.
    /// </summary>
    protected async Task ClearAsync()
    {
        try
        {
            await stored.ClearStateAsync();
        }
        catch
        {
            DeactivateOnIdle();
            throw;
        }
    }

    /// <summary>Replaces the record. When it fails, the grain goes away, and the next call finds what is really stored.</summary>
    protected async Task StoreAsync(T next)
    {
        T before = stored.State;
        stored.State = next;
        try
        {
            await stored.WriteStateAsync();
        }
        catch
        {
            stored.State = before;
            DeactivateOnIdle();
            throw;
        }
    }
}
