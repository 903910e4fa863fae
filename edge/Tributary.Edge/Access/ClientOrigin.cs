namespace Tributary.Edge.Access;

/// <summary>What a connection's listener knows of it: a feature of the connection.</summary>
/// <param name="MayBeAnonymous">Whether the listener takes clients without a name.</param>
/// <param name="CertificateUser">The user that the client's certificate names, which was checked; null for none.</param>
internal sealed record ClientOrigin(bool MayBeAnonymous, string? CertificateUser = null);
