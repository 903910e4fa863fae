using Tributary.Edge.Buffer;
using Tributary.Log;
using Tributary.Log.Storage;

namespace Tributary.Tests.Edge.Support;

/// <summary>Dead letters in memory.</summary>
internal sealed class DeadLetterHarness : ILogEvents, IAsyncDisposable
{
    private readonly EdgeBufferOptions _options;
    private LogDirectory _directory;

    public DeadLetterHarness(EdgeBufferOptions? options = null)
    {
        _options = options ?? new EdgeBufferOptions { SegmentBytes = 64 << 10 };
        (_directory, Letters) = Open();
    }

    public MemoryStorage Storage { get; private set; } = new();

    public DeadLetters Letters { get; private set; }

    /// <summary>Loses what is not durable.</summary>
    public async Task CrashAsync()
    {
        Storage = Storage.Crash();
        await _directory.DisposeAsync();
        (_directory, Letters) = Open();
    }

    public ValueTask DisposeAsync() => _directory.DisposeAsync();

    public void Report(LogEvent what)
    {
    }

    private (LogDirectory, DeadLetters) Open()
    {
        LogDirectory directory = LogDirectory.Open(Storage, "data", _options.ToDirectoryOptions(), TimeProvider.System, this);
        return (directory, new DeadLetters(directory, _options));
    }
}
