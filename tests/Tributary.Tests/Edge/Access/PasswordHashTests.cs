using System.Text;
using Tributary.Edge.Access;
using Xunit;

namespace Tributary.Tests.Edge.Access;

public sealed class PasswordHashTests
{
    [Fact]
    public void A_hash_knows_its_password_and_no_other_also_after_it_was_written_and_read()
    {
        PasswordHash hash = PasswordHash.Create("secret"u8, 1000);
        PasswordHash again = PasswordHash.Parse(hash.ToString());

        Assert.StartsWith("$pbkdf2-sha256$i=1000$", hash.ToString(), StringComparison.Ordinal);
        Assert.True(again.Verify("secret"u8));
        Assert.False(again.Verify("Secret"u8));
        Assert.False(again.Verify(""u8));
        Assert.NotEqual(hash.ToString(), PasswordHash.Create("secret"u8, 1000).ToString());
    }

    /// <summary>Made by hashlib.pbkdf2_hmac of Python 3.11, with sixteen bytes of salt 0 to 15.</summary>
    [Theory]
    [InlineData("$pbkdf2-sha256$i=1000$AAECAwQFBgcICQoLDA0ODw$Tvsru20utY6o3q7VRBeuL9h/1QqKhWhwk2PaYNRWBgY")]
    [InlineData("$pbkdf2-sha512$i=1000$AAECAwQFBgcICQoLDA0ODw$8ltlLe5cI6KNrWOmMFkTi2iE7fEXJKJJR9lhjd/xSn68+xOqzv2h20C4IDv/enqlx8f6AaRHE+6XnvHKXKhAjA")]
    public void Hashes_of_others_are_understood(string text) => Assert.True(PasswordHash.Parse(text).Verify(Encoding.UTF8.GetBytes("secret")));

    [Theory]
    [InlineData("secret")]
    [InlineData("$pbkdf2-sha1$i=1000$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODw")]
    [InlineData("$pbkdf2-sha256$i=1$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODw")]
    [InlineData("$pbkdf2-sha256$i=99999999$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODw")]
    [InlineData("$pbkdf2-sha256$i=1000$AAECAw$AAECAwQFBgcICQoLDA0ODw")]
    [InlineData("$pbkdf2-sha256$i=1000$AAECAwQFBgcICQoLDA0ODw==$AAECAwQFBgcICQoLDA0ODw")]
    [InlineData("$pbkdf2-sha256$i=1000$AAECAwQFBgcICQoLDA0ODw$AAECAw")]
    [InlineData("$pbkdf2-sha256$i=1000$AAECAwQFBgcICQoLDA0ODw$A!ECAwQFBgcICQoLDA0ODw")]
    [InlineData("$pbkdf2-sha256$i=1000$AAECAwQFBgcICQoLDA0ODw")]
    public void What_is_no_hash_is_refused_and_not_repeated(string text)
    {
        string message = Assert.Throws<FormatException>(() => PasswordHash.Parse(text)).Message;
        Assert.DoesNotContain("AAEC", message, StringComparison.Ordinal);
        Assert.DoesNotContain("secret", message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_decoy_costs_the_same_and_has_no_password()
    {
        PasswordHash decoy = PasswordHash.Decoy(PasswordHash.Create("secret"u8, 1234));
        Assert.Equal(1234, decoy.Iterations);
        Assert.False(decoy.Verify("secret"u8));
    }
}
