namespace Tributary.Edge.Access;

/// <summary>
/// Access without a users file: whoever the listener takes without a name may do everything, and so may who has a certificate that was
/// asked for. Names and passwords stand for nothing then.
/// </summary>
internal sealed class ListenerAccess(AccessMetrics metrics) : IAccess
{
    /// <inheritdoc/>
    public event Action? Changed
    {
        add { }
        remove { }
    }

    /// <inheritdoc/>
    public ValueTask<Admission> AdmitAsync(ClientIdentity identity, CancellationToken cancellation)
    {
        if (identity.MayBeAnonymous || identity.CertificateUser is not null)
        {
            return new ValueTask<Admission>(ClientRights.All);
        }
        metrics.Refused(AccessRefusal.NotAuthorized);
        return new ValueTask<Admission>(AccessRefusal.NotAuthorized);
    }

    /// <inheritdoc/>
    public ClientRights RightsOf(string? user, string clientId) => ClientRights.All;
}
