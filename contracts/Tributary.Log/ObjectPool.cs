namespace Tributary.Log;

/// <summary>Keeps up to a bounded number of objects for reuse. Callable from any thread.</summary>
internal sealed class ObjectPool<T>(int capacity)
    where T : class, new()
{
    private readonly T[] _items = new T[capacity];
    private readonly Lock _lock = new();
    private int _count;

    public T Rent()
    {
        lock (_lock)
        {
            return _count > 0 ? _items[--_count] : new T();
        }
    }

    public void Return(T item)
    {
        lock (_lock)
        {
            if (_count < _items.Length)
            {
                _items[_count++] = item;
            }
        }
    }
}
