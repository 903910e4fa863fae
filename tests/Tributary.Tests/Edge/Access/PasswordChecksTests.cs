using Tributary.Edge.Access;
using Tributary.Tests.Edge.Mqtt.Support;
using Xunit;

namespace Tributary.Tests.Edge.Access;

public sealed class PasswordChecksTests : IDisposable
{
    /// <summary>So many that a check takes a while: what waits meanwhile can be counted.</summary>
    private const int Slow = 2_000_000;

    private readonly AccessMetrics _metrics = new();
    private readonly PasswordChecks _checks;

    public PasswordChecksTests() => _checks = new PasswordChecks(_metrics);

    public void Dispose()
    {
        _checks.Dispose();
        _metrics.Dispose();
    }

    [Fact]
    public async Task A_right_password_is_hashed_once_and_a_wrong_one_each_time()
    {
        PasswordHash hash = PasswordHash.Create("secret"u8, 1000);
        Assert.Equal(PasswordVerdict.Wrong, await CheckAsync("other", hash));
        Assert.Equal(PasswordVerdict.Right, await CheckAsync("secret", hash));
        Assert.Equal(2, _metrics.PasswordsChecked);
        Assert.Equal(PasswordVerdict.Right, await CheckAsync("secret", hash));
        Assert.Equal(2, _metrics.PasswordsChecked);
        Assert.Equal(PasswordVerdict.Wrong, await CheckAsync("other", hash));
        Assert.Equal(3, _metrics.PasswordsChecked);
    }

    [Fact]
    public async Task What_waits_is_bounded_and_who_is_too_much_is_told_at_once()
    {
        PasswordHash slow = PasswordHash.Create("secret"u8, 1000);
        slow = PasswordHash.Parse(slow.ToString().Replace("i=1000", $"i={Slow}", StringComparison.Ordinal));
        using var gone = new CancellationTokenSource();
        List<Task<PasswordVerdict>> waiting = [];
        Task<PasswordVerdict>? refused = null;
        for (int i = 0; refused is null && i < PasswordChecks.MaxWaiting + 32; i++)
        {
            Task<PasswordVerdict> check = CheckAsync("secret", slow, gone.Token).AsTask();
            if (check.IsCompleted)
            {
                refused = check;
            }
            else
            {
                waiting.Add(check);
            }
        }
        Assert.NotNull(refused);
        Assert.Equal(PasswordVerdict.Busy, await refused);
        Assert.InRange(waiting.Count, PasswordChecks.MaxWaiting, PasswordChecks.MaxWaiting + 31);
        await gone.CancelAsync();
        foreach (Task<PasswordVerdict> check in waiting)
        {
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => check);
        }
        // Those who have gone cost nothing any more.
        PasswordHash next = PasswordHash.Create("secret"u8, 1000);
        PasswordVerdict verdict = PasswordVerdict.Busy;
        await Wait.UntilAsync(async () => (verdict = await CheckAsync("secret", next)) != PasswordVerdict.Busy);
        Assert.Equal(PasswordVerdict.Right, verdict);
        Assert.InRange(_metrics.PasswordsChecked, 1, 32);
    }

    [Fact]
    public async Task A_password_that_is_cleared_when_its_check_is_cancelled_lets_nobody_in_by_what_is_left()
    {
        PasswordHash slow = PasswordHash.Create("secret"u8, Slow / 4);
        using var gone = new CancellationTokenSource();
        byte[] password = "secret"u8.ToArray();
        Task<PasswordVerdict> check = _checks.CheckAsync(password, slow, gone.Token).AsTask();
        await gone.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => check);
        Array.Clear(password);
        PasswordHash other = PasswordHash.Create("x"u8, 1000);
        await CheckAsync("x", other); // its turn is behind the one that was cancelled, unless that never had one
        Assert.Equal(PasswordVerdict.Wrong, await _checks.CheckAsync(new byte[6], slow, CancellationToken.None));
        Assert.Equal(PasswordVerdict.Right, await CheckAsync("secret", slow));
    }

    [Fact]
    public async Task Of_many_that_come_at_once_those_behind_a_wrong_one_are_not_tried()
    {
        PasswordHash hash = PasswordHash.Create("secret"u8, 100_000);
        int wrong = 0;
        Task<PasswordVerdict>[] checks =
        [
            .. Enumerable.Range(0, 50).Select(i => _checks.CheckAsync(
                System.Text.Encoding.UTF8.GetBytes($"guess {i}"), hash, CancellationToken.None,
                () => Volatile.Read(ref wrong) < 3, isRight => Interlocked.Increment(ref wrong)).AsTask()),
        ];
        PasswordVerdict[] verdicts = await Task.WhenAll(checks);
        Assert.InRange(verdicts.Count(verdict => verdict == PasswordVerdict.Wrong), 3, 6); // each thread may be at one
        Assert.Equal(50, verdicts.Count(verdict => verdict is PasswordVerdict.Wrong or PasswordVerdict.BackOff));
    }

    private ValueTask<PasswordVerdict> CheckAsync(string password, PasswordHash hash, CancellationToken cancellation = default) =>
        _checks.CheckAsync(System.Text.Encoding.UTF8.GetBytes(password), hash, cancellation);
}
