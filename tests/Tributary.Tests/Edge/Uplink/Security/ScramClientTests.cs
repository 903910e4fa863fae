using System.Security.Cryptography;
using System.Text;
using Tributary.Edge.Uplink.Security;
using Xunit;

namespace Tributary.Tests.Edge.Uplink.Security;

/// <summary>SCRAM against the example of the RFC and against a server that was written from it.</summary>
public sealed class ScramClientTests
{
    /// <summary>RFC 7677, 3.</summary>
    private const string Nonce = "rOprNGfwEbeRWgbNEkqO";
    private const string ServerFirst = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    private const string ClientFinal =
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    private const string ServerFinal = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

    [Fact]
    public void The_example_of_RFC_7677_comes_out_as_it_stands_there()
    {
        ScramClient client = Example();
        Assert.Equal($"n,,n=user,r={Nonce}", Text(client.Begin()));
        Assert.Equal(ClientFinal, Text(client.Answer(Encoding.UTF8.GetBytes(ServerFirst))!));
        Assert.Null(client.Answer(Encoding.UTF8.GetBytes(ServerFinal)));
    }

    [Theory]
    [InlineData("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G8=", "signature is wrong")]
    [InlineData("v=", "signature is wrong")]
    [InlineData("v=not base64!", "signature is wrong")]
    [InlineData("", "signature is wrong")]
    [InlineData("e=invalid-proof", "it refused: invalid-proof")]
    public void A_server_that_does_not_prove_itself_is_not_accepted(string serverFinal, string reason)
    {
        ScramClient client = Example();
        client.Begin();
        client.Answer(Encoding.UTF8.GetBytes(ServerFirst));
        Assert.Contains(reason, Assert.Throws<SaslException>(() => client.Answer(Encoding.UTF8.GetBytes(serverFinal))).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", "nonce")]
    [InlineData("r=ROprNGfwEbeRWgbNEkqOabc,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", "nonce")]
    [InlineData("r=rOprNGfwEbeRWgbNEkqOabc,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4095", "4095 iterations; 4096 to")]
    [InlineData("r=rOprNGfwEbeRWgbNEkqOabc,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=99999999999", "iterations")]
    [InlineData("r=rOprNGfwEbeRWgbNEkqOabc,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=-1", "iterations")]
    [InlineData("r=rOprNGfwEbeRWgbNEkqOabc,s=!,i=4096", "salt")]
    [InlineData("r=rOprNGfwEbeRWgbNEkqOabc,s=,i=4096", "salt")]
    [InlineData("m=x,r=rOprNGfwEbeRWgbNEkqOabc,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", "no first message")]
    [InlineData("r=rOprNGfwEbeRWgbNEkqOabc", "no first message")]
    [InlineData("", "no first message")]
    public void A_first_message_that_breaks_a_rule_is_not_answered(string serverFirst, string reason)
    {
        ScramClient client = Example();
        client.Begin();
        Assert.Contains(reason, Assert.Throws<SaslException>(() => client.Answer(Encoding.UTF8.GetBytes(serverFirst))).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("SHA256", "user", "pencil", 4096)]
    [InlineData("SHA512", "user", "pencil", 4096)]
    [InlineData("SHA512", "edge,site=north", "pass,word=ü", 5000)]
    public void Client_and_server_agree(string hash, string user, string password, int iterations)
    {
        var client = new ScramClient(new HashAlgorithmName(hash), user, Encoding.UTF8.GetBytes(password));
        var server = new ScramServer(new HashAlgorithmName(hash), user, password, iterations);
        byte[] final = client.Answer(server.Answer(client.Begin(), out _))!;
        byte[]? last = server.Answer(final, out bool isDone);

        Assert.True(isDone);
        Assert.Null(client.Answer(last));
        Assert.Throws<SaslException>(() => client.Answer(last));
    }

    [Fact]
    public void Nonces_are_never_the_same() => Assert.Equal(
        1000, Enumerable.Range(0, 1000).Select(_ => Text(new ScramClient(HashAlgorithmName.SHA256, "u", "p"u8.ToArray()).Begin())).Distinct().Count());

    private static ScramClient Example() => new(HashAlgorithmName.SHA256, "user", "pencil"u8.ToArray(), Nonce);

    private static string Text(byte[] token) => Encoding.UTF8.GetString(token);
}
