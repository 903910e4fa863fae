using System.Diagnostics.Metrics;

namespace Tributary.Edge.Access;

/// <summary>
/// What is counted of access and transports, as instruments of the meter <c>Tributary.Edge.Access</c> and as numbers to read. Callable
/// from any thread.
/// </summary>
internal sealed class AccessMetrics : IDisposable
{
    /// <summary>Name of the meter.</summary>
    public const string MeterName = "Tributary.Edge.Access";

    private readonly Meter _meter = new(MeterName);
    private readonly long[] _refused = new long[Enum.GetValues<AccessRefusal>().Length];
    private long _passwordsChecked;
    private long _passwordTicks;
    private long _usersTaken;
    private long _usersNotTaken;
    private long _certificatesTaken;
    private long _certificatesNotTaken;
    private long _handshakes;
    private long _handshakesFailed;
    private long _upgradesRefused;

    /// <summary>The meter.</summary>
    public Meter Meter => _meter;

    public AccessMetrics()
    {
        _meter.CreateObservableCounter(
            "tributary.edge.access.refused", RefusedByReason, "{client}", "Clients that were not let in by the users file, by reason.");
        Count("passwords_checked", () => PasswordsChecked, "{password}", "Passwords that were hashed to check them.");
        _meter.CreateObservableCounter(
            "tributary.edge.access.password_time", () => TimeSpan.FromTicks(Interlocked.Read(ref _passwordTicks)).TotalSeconds, "s",
            "Time that it took.");
        Reloads("users_reloads", () => UsersTaken, () => UsersNotTaken, "Changes of the users file, by result.");
        Reloads("certificate_reloads", () => CertificatesTaken, () => CertificatesNotTaken, "Changes of the TLS files, by result.");
        Count("tls_handshakes", () => Handshakes, "{handshake}", "TLS handshakes that succeeded.");
        Count("tls_handshakes_failed", () => HandshakesFailed, "{handshake}", "TLS handshakes that failed or took too long.");
        Count("websockets_refused", () => UpgradesRefused, "{request}", "HTTP requests that did not become MQTT over WebSocket.");
    }

    /// <summary>Passwords that were hashed to check them.</summary>
    public long PasswordsChecked => Interlocked.Read(ref _passwordsChecked);

    /// <summary>Changes of the users file that were taken.</summary>
    public long UsersTaken => Interlocked.Read(ref _usersTaken);

    /// <summary>Changes of the users file that were not.</summary>
    public long UsersNotTaken => Interlocked.Read(ref _usersNotTaken);

    /// <summary>Changes of the TLS files that were taken.</summary>
    public long CertificatesTaken => Interlocked.Read(ref _certificatesTaken);

    /// <summary>Changes of the TLS files that were not.</summary>
    public long CertificatesNotTaken => Interlocked.Read(ref _certificatesNotTaken);

    /// <summary>TLS handshakes that succeeded.</summary>
    public long Handshakes => Interlocked.Read(ref _handshakes);

    /// <summary>TLS handshakes that failed or took too long.</summary>
    public long HandshakesFailed => Interlocked.Read(ref _handshakesFailed);

    /// <summary>HTTP requests that did not become MQTT over WebSocket.</summary>
    public long UpgradesRefused => Interlocked.Read(ref _upgradesRefused);

    /// <summary>Clients that were not let in for this reason.</summary>
    public long CountRefused(AccessRefusal refusal) => Interlocked.Read(ref _refused[(int)refusal]);

    /// <inheritdoc/>
    public void Dispose() => _meter.Dispose();

    internal void Refused(AccessRefusal refusal) => Interlocked.Increment(ref _refused[(int)refusal]);

    internal void PasswordChecked(TimeSpan took)
    {
        Interlocked.Increment(ref _passwordsChecked);
        Interlocked.Add(ref _passwordTicks, took.Ticks);
    }

    internal void UsersReloaded(bool wasTaken) => Interlocked.Increment(ref wasTaken ? ref _usersTaken : ref _usersNotTaken);

    internal void CertificatesReloaded(bool wasTaken) =>
        Interlocked.Increment(ref wasTaken ? ref _certificatesTaken : ref _certificatesNotTaken);

    internal void HandshakeEnded(bool isWell) => Interlocked.Increment(ref isWell ? ref _handshakes : ref _handshakesFailed);

    internal void UpgradeRefused() => Interlocked.Increment(ref _upgradesRefused);

    private IEnumerable<Measurement<long>> RefusedByReason() => Enum.GetValues<AccessRefusal>()
        .Where(refusal => refusal != AccessRefusal.None)
        .Select(refusal => new Measurement<long>(CountRefused(refusal), new KeyValuePair<string, object?>("reason", refusal.ToString())));

    private void Reloads(string name, Func<long> taken, Func<long> notTaken, string description) => _meter.CreateObservableCounter(
        $"tributary.edge.access.{name}",
        () => new Measurement<long>[]
        {
            new(taken(), new KeyValuePair<string, object?>("result", "taken")),
            new(notTaken(), new KeyValuePair<string, object?>("result", "refused")),
        },
        "{change}", description);

    private void Count(string name, Func<long> read, string unit, string description) =>
        _meter.CreateObservableCounter($"tributary.edge.access.{name}", read, unit, description);
}
