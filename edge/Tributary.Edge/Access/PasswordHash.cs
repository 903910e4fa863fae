using System.Globalization;
using System.Security.Cryptography;

namespace Tributary.Edge.Access;

/// <summary>
/// A password as it may be kept: PBKDF2 (RFC 8018) over a salt, written like PHC strings:
/// <c>$pbkdf2-sha256$i=100000$SALT$HASH</c>, the last two in Base64 without padding. Immutable, but for <see cref="Proof"/>.
/// </summary>
internal sealed class PasswordHash
{
    /// <summary>
    /// Iterations of new hashes. A small box beside machines must let a thousand devices in again after a power cut; where that is no
    /// matter, more can be asked for.
    /// </summary>
    public const int DefaultIterations = 100_000;

    /// <summary>Fewest and most iterations.</summary>
    public const int MinIterations = 1_000;

    /// <inheritdoc cref="MinIterations"/>
    public const int MaxIterations = 10_000_000;

    /// <summary>Most bytes of a password.</summary>
    public const int MaxPasswordBytes = 1024;

    private const int NewSaltBytes = 16;
    private const int NewHashBytes = 32;
    private readonly HashAlgorithmName _algorithm;
    private readonly int _iterations;
    private readonly byte[] _salt;
    private readonly byte[] _hash;

    private PasswordHash(HashAlgorithmName algorithm, int iterations, byte[] salt, byte[] hash) =>
        (_algorithm, _iterations, _salt, _hash) = (algorithm, iterations, salt, hash);

    /// <summary>Iterations: what a check costs.</summary>
    public int Iterations => _iterations;

    /// <summary>
    /// What a password that was once found right looks like under a key of this process; null before. For
    /// <see cref="PasswordChecks"/>, from any thread.
    /// </summary>
    public byte[]? Proof
    {
        get => Volatile.Read(ref field);
        set => Volatile.Write(ref field, value);
    }

    /// <summary>Hashes a password with a new salt.</summary>
    public static PasswordHash Create(ReadOnlySpan<byte> password, int iterations = DefaultIterations)
    {
        byte[] salt = RandomNumberGenerator.GetBytes(NewSaltBytes);
        HashAlgorithmName algorithm = HashAlgorithmName.SHA256;
        return new PasswordHash(algorithm, iterations, salt, Rfc2898DeriveBytes.Pbkdf2(password, salt, iterations, algorithm, NewHashBytes));
    }

    /// <summary>A hash that no password has, for users there are none of: to check against it costs as much as <paramref name="like"/>.</summary>
    public static PasswordHash Decoy(PasswordHash? like) => new(
        like?._algorithm ?? HashAlgorithmName.SHA256, like?._iterations ?? DefaultIterations, RandomNumberGenerator.GetBytes(NewSaltBytes),
        RandomNumberGenerator.GetBytes(like?._hash.Length ?? NewHashBytes));

    /// <summary>Reads a hash.</summary>
    /// <exception cref="FormatException">It is none; the message says why, and not what it is.</exception>
    public static PasswordHash Parse(string text)
    {
        string[] parts = text.Split('$');
        if (parts is not ["", var name, ['i', '=', .. var count], var salt, var hash])
        {
            throw new FormatException("a password hash is written $pbkdf2-sha256$i=ITERATIONS$SALT$HASH; 'tributary-edge user add' makes one");
        }
        (HashAlgorithmName algorithm, int most) = name switch
        {
            "pbkdf2-sha256" => (HashAlgorithmName.SHA256, 32),
            "pbkdf2-sha512" => (HashAlgorithmName.SHA512, 64),
            _ => throw new FormatException("a password hash must be pbkdf2-sha256 or pbkdf2-sha512"),
        };
        if (!int.TryParse(count, NumberStyles.None, CultureInfo.InvariantCulture, out int iterations)
            || iterations is < MinIterations or > MaxIterations)
        {
            throw new FormatException($"a password hash must have from {MinIterations} to {MaxIterations} iterations");
        }
        return new PasswordHash(algorithm, iterations, Bytes(salt, 8, 64, "salt"), Bytes(hash, 16, most, "hash"));
    }

    /// <summary>Whether it is the password's. Takes its time: a few ten milliseconds of one processor.</summary>
    public bool Verify(ReadOnlySpan<byte> password) => CryptographicOperations.FixedTimeEquals(
        Rfc2898DeriveBytes.Pbkdf2(password, _salt, _iterations, _algorithm, _hash.Length), _hash);

    /// <inheritdoc/>
    public override string ToString()
    {
        string name = _algorithm == HashAlgorithmName.SHA256 ? "pbkdf2-sha256" : "pbkdf2-sha512";
        return string.Create(
            CultureInfo.InvariantCulture,
            $"${name}$i={_iterations}${Convert.ToBase64String(_salt).TrimEnd('=')}${Convert.ToBase64String(_hash).TrimEnd('=')}");
    }

    private static byte[] Bytes(string text, int least, int most, string what)
    {
        byte[] bytes = new byte[most];
        return text.Length % 4 != 1 && !text.Contains('=') && Convert.TryFromBase64String(text.PadRight((text.Length + 3) / 4 * 4, '='), bytes, out int length) && length >= least
            ? bytes[..length]
            : throw new FormatException($"the {what} of a password hash must be {least} to {most} bytes in Base64 without padding");
    }
}
