using System.Net;

namespace Tributary.Edge.Access;

/// <summary>Who a client says that it is.</summary>
/// <param name="ClientId">Client identifier.</param>
/// <param name="UserName">User name of CONNECT, null for none.</param>
/// <param name="Password">Password of CONNECT, null for none; not kept beyond the call.</param>
/// <param name="CertificateUser">The user that its certificate names, which was checked; null for none.</param>
/// <param name="Remote">Where it comes from, null if that is unknown.</param>
/// <param name="MayBeAnonymous">Whether its listener takes clients without a name.</param>
internal readonly record struct ClientIdentity(
    string ClientId, string? UserName, byte[]? Password, string? CertificateUser, EndPoint? Remote, bool MayBeAnonymous);

/// <summary>Why a client is not let in.</summary>
internal enum AccessRefusal
{
    None,

    /// <summary>User name or password are wrong. Which one, nobody is told.</summary>
    BadCredentials,

    /// <summary>It is known who it is, and that it may not come in; or it does not say who it is where that is needed.</summary>
    NotAuthorized,

    /// <summary>Too many passwords wait to be checked.</summary>
    Busy,

    /// <summary>Too many wrong passwords came from there; it has to wait.</summary>
    BackOff,
}

/// <summary>Whether a client is let in.</summary>
/// <param name="Rights">What it may do, null if it is not.</param>
/// <param name="Refusal">Why not.</param>
internal readonly record struct Admission(ClientRights? Rights, AccessRefusal Refusal)
{
    public static implicit operator Admission(AccessRefusal refusal) => new(null, refusal);

    public static implicit operator Admission(ClientRights rights) => new(rights, AccessRefusal.None);
}

/// <summary>Who may come in, and what they may do then. Callable from any thread.</summary>
internal interface IAccess
{
    /// <summary>The rights of clients that are in may have changed: those that are revoked have to go, and subscriptions to be looked at.</summary>
    event Action? Changed;

    /// <summary>Looks whether a client may come in. Never takes the caller's time for checking a password.</summary>
    /// <param name="identity">Who it says that it is.</param>
    /// <param name="cancellation">The client has gone.</param>
    /// <exception cref="OperationCanceledException">It has.</exception>
    ValueTask<Admission> AdmitAsync(ClientIdentity identity, CancellationToken cancellation);

    /// <summary>What a client may do that was let in before and is not here: what it has left is done in its name.</summary>
    /// <param name="user">Whose it is; null for an anonymous one.</param>
    /// <param name="clientId">The client identifier.</param>
    ClientRights RightsOf(string? user, string clientId);
}

/// <summary>Everybody may do everything.</summary>
internal sealed class OpenAccess : IAccess
{
    public static readonly OpenAccess Instance = new();

    /// <inheritdoc/>
    public event Action? Changed
    {
        add { }
        remove { }
    }

    /// <inheritdoc/>
    public ValueTask<Admission> AdmitAsync(ClientIdentity identity, CancellationToken cancellation) => new(ClientRights.All);

    /// <inheritdoc/>
    public ClientRights RightsOf(string? user, string clientId) => ClientRights.All;
}
