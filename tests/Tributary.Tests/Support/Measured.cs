using System.Diagnostics.Metrics;

namespace Tributary.Tests.Support;

/// <summary>
/// What the instruments measure that are made on this thread while it is watching: those of other tests, which may run at the same time
/// and have the same names, are left out.
/// </summary>
internal sealed class Measured : IDisposable
{
    private readonly MeterListener _listener = new();
    private readonly Lock _lock = new();
    private readonly Dictionary<(string Instrument, string Tag), long> _values = [];

    private Measured()
    {
    }

    /// <summary>Makes something with instruments, and watches them.</summary>
    public static T Watch<T>(Func<T> make, out Measured measured)
    {
        var watching = new Measured();
        int thread = Environment.CurrentManagedThreadId;
        bool isMaking = false;
        watching._listener.InstrumentPublished = (instrument, listener) =>
        {
            if (Volatile.Read(ref isMaking) && Environment.CurrentManagedThreadId == thread)
            {
                listener.EnableMeasurementEvents(instrument);
            }
        };
        watching._listener.SetMeasurementEventCallback<long>(watching.Take);
        watching._listener.Start();
        Volatile.Write(ref isMaking, true);
        T made = make();
        Volatile.Write(ref isMaking, false);
        measured = watching;
        return made;
    }

    /// <summary>The value of an instrument for the one tag given, 0 if there is none: of counters the sum, of observed ones the last.</summary>
    public long this[string instrument, string tag]
    {
        get
        {
            _listener.RecordObservableInstruments();
            lock (_lock)
            {
                return _values.GetValueOrDefault((instrument, tag));
            }
        }
    }

    public void Dispose() => _listener.Dispose();

    private void Take(Instrument instrument, long value, ReadOnlySpan<KeyValuePair<string, object?>> tags, object? state)
    {
        lock (_lock)
        {
            foreach (KeyValuePair<string, object?> tag in tags)
            {
                (string, string) key = (instrument.Name, $"{tag.Value}");
                _values[key] = value + (instrument.IsObservable ? 0 : _values.GetValueOrDefault(key));
            }
        }
    }
}
