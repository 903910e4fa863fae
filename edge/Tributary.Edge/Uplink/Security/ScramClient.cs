using System.Buffers.Text;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Tributary.Edge.Uplink.Security;

/// <summary>
/// SCRAM without channel binding (RFC 5802; RFC 7677 for SHA-256): proves to know the password without telling it, and has the server
/// prove that it knows its hash. The password is taken as it is, as Kafka's brokers do, without the preparation of RFC 4013. One thread at
/// a time, one exchange.
/// </summary>
internal sealed class ScramClient : ISaslClient
{
    /// <summary>The fewest rounds of hashing that are accepted: fewer would let a false server guess passwords (RFC 7677, 4).</summary>
    public const int MinIterations = 4096;

    /// <summary>The most: a false server must not keep a small device busy.</summary>
    public const int MaxIterations = 1_000_000;

    private const int MaxTokenBytes = 4096;
    private const int MaxErrorChars = 200;

    /// <summary>No channel binding, no authorization identity.</summary>
    private const string Gs2Header = "n,,";

    private readonly HashAlgorithmName _hash;
    private readonly byte[] _password;
    private readonly string _nonce;
    private readonly string _first;
    private byte[]? _serverSignature;
    private Step _step;

    /// <param name="hash">SHA-256 or SHA-512.</param>
    /// <param name="username">Who.</param>
    /// <param name="password">The password, UTF-8.</param>
    /// <param name="nonce">The client's nonce; null for one by chance.</param>
    public ScramClient(HashAlgorithmName hash, string username, byte[] password, string? nonce = null)
    {
        _hash = hash;
        _password = password;
        _nonce = nonce ?? Convert.ToBase64String(RandomNumberGenerator.GetBytes(24));
        string name = username.Replace("=", "=3D", StringComparison.Ordinal).Replace(",", "=2C", StringComparison.Ordinal);
        _first = $"n={name},r={_nonce}";
    }

    private enum Step
    {
        First,
        Final,
        Done,
    }

    /// <inheritdoc/>
    public byte[] Begin() => Encoding.UTF8.GetBytes(Gs2Header + _first);

    /// <inheritdoc/>
    public byte[]? Answer(ReadOnlySpan<byte> token)
    {
        if (token.Length > MaxTokenBytes)
        {
            throw new SaslException($"its answer has {token.Length} bytes; SCRAM has at most {MaxTokenBytes} here");
        }
        string text = Encoding.UTF8.GetString(token);
        if (text.StartsWith("e=", StringComparison.Ordinal))
        {
            throw new SaslException($"it refused: {Printable.Of(text[2..], MaxErrorChars)}");
        }
        switch (_step)
        {
            case Step.First:
                _step = Step.Final;
                return Prove(text);
            case Step.Final:
                _step = Step.Done;
                Verify(text);
                return null;
            default:
                throw new SaslException("it went on after the end of the exchange");
        }
    }

    private byte[] Prove(string serverFirst)
    {
        (string nonce, byte[] salt, int iterations) = Parse(serverFirst);
        byte[] salted = Rfc2898DeriveBytes.Pbkdf2(_password, salt, iterations, _hash, HashSize());
        byte[] clientKey = Mac(salted, "Client Key"u8);
        string finalWithoutProof = $"c={Convert.ToBase64String(Encoding.UTF8.GetBytes(Gs2Header))},r={nonce}";
        byte[] message = Encoding.UTF8.GetBytes($"{_first},{serverFirst},{finalWithoutProof}");
        byte[] proof = Mac(CryptographicOperations.HashData(_hash, clientKey), message);
        for (int i = 0; i < proof.Length; i++)
        {
            proof[i] ^= clientKey[i];
        }
        _serverSignature = Mac(Mac(salted, "Server Key"u8), message);
        CryptographicOperations.ZeroMemory(salted);
        return Encoding.UTF8.GetBytes($"{finalWithoutProof},p={Convert.ToBase64String(proof)}");
    }

    /// <summary>server-first-message: r=nonce,s=salt,i=iterations[,extensions]; m= would be an extension that must be known.</summary>
    private (string Nonce, byte[] Salt, int Iterations) Parse(string message)
    {
        string[] parts = message.Split(',');
        if (parts.Length < 3 || !Has(parts[0], "r=") || !Has(parts[1], "s=") || !Has(parts[2], "i="))
        {
            throw new SaslException("its answer is no first message of SCRAM (r=, s=, i=)");
        }
        string nonce = parts[0][2..];
        if (nonce.Length <= _nonce.Length || !nonce.StartsWith(_nonce, StringComparison.Ordinal) || nonce.Any(c => c is < '!' or > '~'))
        {
            throw new SaslException("its nonce does not begin with ours, or adds nothing to it: somebody repeats an older exchange");
        }
        if (!int.TryParse(parts[2].AsSpan(2), NumberStyles.None, CultureInfo.InvariantCulture, out int iterations)
            || iterations is < MinIterations or > MaxIterations)
        {
            throw new SaslException($"it asks for {Printable.Of(parts[2][2..], 20)} iterations; {MinIterations} to {MaxIterations} are accepted");
        }
        byte[] salt = Decode(parts[1][2..]);
        return salt.Length > 0 ? (nonce, salt, iterations) : throw new SaslException("its salt is empty or not base64");
    }

    private void Verify(string serverFinal)
    {
        string first = serverFinal.Split(',')[0];
        if (!Has(first, "v=") || !CryptographicOperations.FixedTimeEquals(Decode(first[2..]), _serverSignature))
        {
            throw new SaslException("its signature is wrong: it does not know the password's hash, so it is not the cluster that it says it is");
        }
    }

    private static bool Has(string part, string attribute) => part.StartsWith(attribute, StringComparison.Ordinal);

    private static byte[] Decode(string text) => Base64.IsValid(text) ? Convert.FromBase64String(text) : [];

    private int HashSize() => _hash == HashAlgorithmName.SHA512 ? SHA512.HashSizeInBytes : SHA256.HashSizeInBytes;

    private byte[] Mac(byte[] key, ReadOnlySpan<byte> message) => CryptographicOperations.HmacData(_hash, key, message);
}
