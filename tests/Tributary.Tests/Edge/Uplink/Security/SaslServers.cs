using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Tributary.Tests.Edge.Uplink.Security;

/// <summary>The server's side of one SASL exchange.</summary>
internal interface ISaslServer
{
    /// <summary>The answer to a token; null if the client is refused.</summary>
    byte[]? Answer(byte[] token, out bool isDone);
}

/// <summary>PLAIN (RFC 4616).</summary>
internal sealed class PlainServer(string user, string password) : ISaslServer
{
    public byte[]? Answer(byte[] token, out bool isDone)
    {
        isDone = Encoding.UTF8.GetString(token) == $"\0{user}\0{password}";
        return isDone ? [] : null;
    }
}

/// <summary>What a false or broken server does in an exchange of SCRAM.</summary>
internal enum ScramFlaw
{
    None,
    WrongSignature,
    NoSignature,
    ForeignNonce,
    NonceNotExtended,
    FewIterations,
    ManyIterations,
    NoSalt,
    UnknownExtension,
    ErrorOfTheMechanism,
    HugeToken,
}

/// <summary>SCRAM (RFC 5802, 3 and 5), with what a server stores: salt, iterations, StoredKey and ServerKey.</summary>
internal sealed class ScramServer : ISaslServer
{
    private readonly HashAlgorithmName _hash;
    private readonly string _user;
    private readonly byte[] _salt = RandomNumberGenerator.GetBytes(16);
    private readonly int _iterations;
    private readonly byte[] _storedKey;
    private readonly byte[] _serverKey;
    private readonly ScramFlaw _flaw;
    private string? _clientFirst;
    private string _serverFirst = "";
    private string _nonce = "";

    public ScramServer(HashAlgorithmName hash, string user, string password, int iterations = 4096, ScramFlaw flaw = ScramFlaw.None)
    {
        _hash = hash;
        _user = user;
        _iterations = iterations;
        _flaw = flaw;
        byte[] salted = Hi(Encoding.UTF8.GetBytes(password));
        _storedKey = CryptographicOperations.HashData(hash, Hmac(salted, "Client Key"));
        _serverKey = Hmac(salted, "Server Key");
    }

    public byte[]? Answer(byte[] token, out bool isDone)
    {
        isDone = false;
        string text = Encoding.UTF8.GetString(token);
        return _clientFirst is null ? First(text) : Final(text, out isDone);
    }

    private byte[]? First(string text)
    {
        if (!text.StartsWith("n,,", StringComparison.Ordinal))
        {
            return null;
        }
        _clientFirst = text[3..];
        string[] parts = _clientFirst.Split(',');
        string name = parts[0][2..].Replace("=2C", ",", StringComparison.Ordinal).Replace("=3D", "=", StringComparison.Ordinal);
        if (name != _user)
        {
            return null;
        }
        string clientNonce = parts[1][2..];
        _nonce = _flaw switch
        {
            ScramFlaw.ForeignNonce => "x" + clientNonce[1..] + "server",
            ScramFlaw.NonceNotExtended => clientNonce,
            _ => clientNonce + Convert.ToBase64String(RandomNumberGenerator.GetBytes(12)),
        };
        int iterations = _flaw switch { ScramFlaw.FewIterations => 4095, ScramFlaw.ManyIterations => 1_000_001, _ => _iterations };
        string salt = _flaw == ScramFlaw.NoSalt ? "" : Convert.ToBase64String(_salt);
        _serverFirst = (_flaw == ScramFlaw.UnknownExtension ? "m=must," : "") + string.Create(CultureInfo.InvariantCulture, $"r={_nonce},s={salt},i={iterations}");
        return _flaw == ScramFlaw.HugeToken ? new byte[5000] : Encoding.UTF8.GetBytes(_serverFirst);
    }

    private byte[]? Final(string text, out bool isDone)
    {
        isDone = false;
        int at = text.LastIndexOf(",p=", StringComparison.Ordinal);
        string authMessage = $"{_clientFirst},{_serverFirst},{text[..at]}";
        byte[] signature = Hmac(_storedKey, authMessage);
        byte[] clientKey = [.. Convert.FromBase64String(text[(at + 3)..]).Zip(signature, (p, s) => (byte)(p ^ s))];
        if (text[..at] != $"c=biws,r={_nonce}" || !CryptographicOperations.HashData(_hash, clientKey).AsSpan().SequenceEqual(_storedKey))
        {
            return null;
        }
        isDone = true;
        byte[] proof = Hmac(_serverKey, authMessage);
        proof[0] ^= (byte)(_flaw == ScramFlaw.WrongSignature ? 1 : 0);
        return Encoding.UTF8.GetBytes(_flaw switch
        {
            ScramFlaw.NoSignature => "x=",
            ScramFlaw.ErrorOfTheMechanism => "e=other-error",
            _ => "v=" + Convert.ToBase64String(proof),
        });
    }

    /// <summary>RFC 5802, 2.2, as it stands there.</summary>
    private byte[] Hi(byte[] password)
    {
        byte[] u = CryptographicOperations.HmacData(_hash, password, (byte[])[.. _salt, 0, 0, 0, 1]);
        byte[] result = [.. u];
        for (int i = 1; i < _iterations; i++)
        {
            u = CryptographicOperations.HmacData(_hash, password, u);
            for (int j = 0; j < u.Length; j++)
            {
                result[j] ^= u[j];
            }
        }
        return result;
    }

    private byte[] Hmac(byte[] key, string text) => CryptographicOperations.HmacData(_hash, key, Encoding.UTF8.GetBytes(text));
}
