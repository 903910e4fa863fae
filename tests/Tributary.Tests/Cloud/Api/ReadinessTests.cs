using System.Collections.Immutable;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Tributary.Broker;
using Tributary.Cloud.Api;
using Tributary.Log;
using Tributary.Log.Storage;
using Tributary.Tests.Broker.Support;
using Xunit;

namespace Tributary.Tests.Cloud.Api;

public sealed class ReadinessTests : IAsyncLifetime
{
    private readonly FakeTimeProvider _time = new();
    private readonly RefusingStorage _storage = new(new MemoryStorage());
    private readonly FakeOracle _silo = new();
    private readonly TestControlPlane _control = new();
    private readonly LogDirectory _logs;
    private readonly BrokerServer _broker;
    private readonly Readiness _readiness;

    public ReadinessTests()
    {
        _logs = LogDirectory.Open(_storage, "data/log", new LogDirectoryOptions(), _time, new NoEvents());
        _broker = new BrokerServer(new BrokerOptions(), _logs, _control, new TestGroups(), new TestTransactions(), _time, NullLoggerFactory.Instance);
        _control.Server = _broker;
        _readiness = new Readiness(_storage, "data", _time, _silo);
    }

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public async ValueTask DisposeAsync()
    {
        await _broker.DisposeAsync();
        await _logs.DisposeAsync();
    }

    [Fact]
    public async Task It_is_ready_from_the_brokers_start_to_the_programs_end()
    {
        string? before = await _readiness.FindReasonAsync();
        _readiness.Started(new PartitionCensus(_broker, _control));
        string? meanwhile = await _readiness.FindReasonAsync();
        _readiness.Stopping();

        Assert.Equal("The broker is starting.", before);
        Assert.Null(meanwhile);
        Assert.Equal("The program is stopping.", await _readiness.FindReasonAsync());
    }

    [Fact]
    public async Task A_silo_that_is_not_active_makes_it_unready()
    {
        _readiness.Started(new PartitionCensus(_broker, _control));
        _silo.CurrentStatus = SiloStatus.ShuttingDown;

        Assert.Equal("The silo is ShuttingDown.", await _readiness.FindReasonAsync());
    }

    [Fact]
    public async Task A_disk_that_takes_no_writes_makes_it_unready_until_it_does_again()
    {
        _readiness.Started(new PartitionCensus(_broker, _control));
        Assert.Null(await _readiness.FindReasonAsync());
        _storage.Refusal = "no space left on device";

        string? remembered = await _readiness.FindReasonAsync();
        _time.Advance(TimeSpan.FromSeconds(2));
        string? refused = await _readiness.FindReasonAsync();
        _storage.Refusal = null;
        _time.Advance(TimeSpan.FromSeconds(2));

        Assert.Null(remembered);
        Assert.Equal("The log can't be written: no space left on device", refused);
        Assert.Null(await _readiness.FindReasonAsync());
    }

    [Fact]
    public async Task A_flush_that_hangs_makes_it_unready_and_takes_one_thread_however_many_ask()
    {
        _readiness.Started(new PartitionCensus(_broker, _control));
        _storage.Gate.Reset();
        Task<string?>[] asked = [.. Enumerable.Range(0, 50).Select(_ => _readiness.FindReasonAsync().AsTask())];
        await Eventually.HoldsAsync(() =>
        {
            _time.Advance(TimeSpan.FromSeconds(5));
            return asked.All(one => one.IsCompleted);
        });
        Assert.All(asked, one => Assert.Equal("The log can't be written: a flush has taken more than 5 s so far", one.Result));
        await Eventually.HoldsAsync(() => _storage.Opening == 1);
        _storage.Gate.Set();
        await Eventually.HoldsAsync(() => _storage.Opening == 0);
        _time.Advance(TimeSpan.FromSeconds(2));
        Assert.Null(await _readiness.FindReasonAsync());
    }

    [Fact]
    public async Task Partitions_that_can_not_be_opened_are_counted_and_make_it_unready_when_there_are_no_others()
    {
        var census = new PartitionCensus(_broker, _control);
        _readiness.Started(census);
        _storage.RefusedName = "bad-0";
        await _control.CreateTopicAsync(new("bad", 1, 1, ImmutableDictionary<string, string>.Empty, ValidateOnly: false), default);
        (int Led, int Unavailable) alone = (census.Led, census.Unavailable);
        string? whenAlone = await _readiness.FindReasonAsync();
        await _control.CreateTopicAsync(new("good", 2, 1, ImmutableDictionary<string, string>.Empty, ValidateOnly: false), default);

        Assert.Equal((1, 1), alone);
        Assert.StartsWith("None of the 1 partitions can be written: ", whenAlone, StringComparison.Ordinal);
        Assert.Equal((3, 1), (census.Led, census.Unavailable));
        Assert.Null(await _readiness.FindReasonAsync());
    }

    private sealed class NoEvents : ILogEvents
    {
        public void Report(LogEvent what)
        {
        }
    }

    /// <summary>A storage that refuses to write, or to make one directory.</summary>
    private sealed class RefusingStorage(IStorage inner) : IStorage
    {
        private int _opening;

        public string? Refusal { get; set; }

        public string? RefusedName { get; set; }

        /// <summary>Whoever opens a file waits here.</summary>
        public ManualResetEventSlim Gate { get; } = new(initialState: true);

        /// <summary>How many wait.</summary>
        public int Opening => Volatile.Read(ref _opening);

        public IStorageFile Open(string path, bool create)
        {
            Interlocked.Increment(ref _opening);
            Gate.Wait();
            Interlocked.Decrement(ref _opening);
            return Refusal is null ? inner.Open(path, create) : throw new IOException(Refusal);
        }

        public void CreateDirectory(string path)
        {
            if (RefusedName is not null && path.EndsWith(RefusedName, StringComparison.Ordinal))
            {
                throw new IOException("the test refuses this directory");
            }
            inner.CreateDirectory(path);
        }

        public bool Exists(string path) => inner.Exists(path);

        public IReadOnlyList<string> List(string directory) => inner.List(directory);

        public void Rename(string from, string to) => inner.Rename(from, to);

        public void Delete(string path) => inner.Delete(path);

        public void DeleteDirectory(string path) => inner.DeleteDirectory(path);

        public void SyncDirectory(string path) => inner.SyncDirectory(path);

        public long FreeBytes(string path) => inner.FreeBytes(path);

        public IDisposable? TryLock(string path) => inner.TryLock(path);
    }

    private sealed class FakeOracle : ISiloStatusOracle
    {
        public SiloStatus CurrentStatus { get; set; } = SiloStatus.Active;

        public string SiloName => "silo";

        public SiloAddress SiloAddress => SiloAddress.Zero;

        public SiloStatus GetApproximateSiloStatus(SiloAddress siloAddress) => CurrentStatus;

        public Dictionary<SiloAddress, SiloStatus> GetApproximateSiloStatuses(bool onlyActive = false) => [];

        public SiloAddress[] GetActiveSilos() => [];

        public bool TryGetSiloName(SiloAddress siloAddress, out string siloName)
        {
            siloName = SiloName;
            return true;
        }

        public bool IsFunctionalDirectory(SiloAddress siloAddress) => true;

        public bool IsDeadSilo(SiloAddress silo) => false;

        public bool SubscribeToSiloStatusEvents(ISiloStatusListener observer) => true;

        public bool UnSubscribeFromSiloStatusEvents(ISiloStatusListener observer) => true;
    }
}
