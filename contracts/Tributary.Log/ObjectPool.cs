namespace Tributary.Log;

/// <summary>Keeps up to a bounded number of objects for reuse. Callable from any thread.</summary>
internal sealed class ObjectPool<T>(int capacity)
    where T : class, new()
{
    private readonly T[] _items = new T[capacity];
    private readonly Lock _lock = new();
    private int _count;

    /// <summary>One more, without the lock: enough for a thread that gives back before it takes the next.</summary>
    private T? _first;

    public T Rent() => Interlocked.Exchange(ref _first, null) ?? RentKept();

    public void Return(T item)
    {
        if (Interlocked.CompareExchange(ref _first, item, null) is null)
        {
            return;
        }
        lock (_lock)
        {
            if (_count < _items.Length)
            {
                _items[_count++] = item;
            }
        }
    }

    private T RentKept()
    {
        lock (_lock)
        {
            return _count > 0 ? _items[--_count] : new T();
        }
    }
}
