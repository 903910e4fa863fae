using System.Security.Cryptography;
using System.Text;

namespace Tributary.Edge.Uplink.Security;

/// <summary>The client's side of one SASL exchange (RFC 4422). One thread at a time, one exchange.</summary>
internal interface ISaslClient
{
    /// <summary>The first token, which the client sends unasked.</summary>
    byte[] Begin();

    /// <summary>The token to answer the server's with; null when the exchange is over and the server has proved what it has to.</summary>
    /// <exception cref="SaslException">The server's token is wrong, or refuses.</exception>
    byte[]? Answer(ReadOnlySpan<byte> token);
}

/// <summary>An exchange failed by what the server said; the message says how.</summary>
internal sealed class SaslException(string message) : Exception(message);

/// <summary>The password itself (RFC 4616): an empty authorization identity, the name, the password, with zeros between them.</summary>
/// <param name="username">The name.</param>
/// <param name="password">The password, UTF-8.</param>
internal sealed class PlainClient(string username, byte[] password) : ISaslClient
{
    /// <inheritdoc/>
    public byte[] Begin() => [0, .. Encoding.UTF8.GetBytes(username), 0, .. password];

    /// <inheritdoc/>
    public byte[]? Answer(ReadOnlySpan<byte> token) => null;
}

/// <summary>Makes the client of a mechanism.</summary>
internal static class SaslClients
{
    /// <summary>A client for one exchange.</summary>
    /// <exception cref="CloudException">The password can't be read.</exception>
    public static ISaslClient Of(UplinkSaslOptions options) => options.Mechanism switch
    {
        SaslMechanism.ScramSha256 => new ScramClient(HashAlgorithmName.SHA256, options.Username, options.ReadPassword()),
        SaslMechanism.ScramSha512 => new ScramClient(HashAlgorithmName.SHA512, options.Username, options.ReadPassword()),
        _ => new PlainClient(options.Username, options.ReadPassword()),
    };
}
