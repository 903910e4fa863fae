using System.Runtime.Versioning;
using System.Text;
using Tributary.Edge.Access;
using Tributary.Tests.Cloud.Support;
using Xunit;

namespace Tributary.Tests.Edge.Access;

public sealed class UsersFileTests
{
    private static readonly string Hash = PasswordHash.Create("secret"u8, 1000).ToString();

    [Fact]
    public void Users_and_their_permissions_are_read_with_comments()
    {
        Users users = Parse(
            $$"""
            {
              // pumps
              "users": {
                "pump-17": { "password": "{{Hash}}", "publish": ["devices/%u/#"], "subscribe": ["commands/%u/#", "news"], },
                "by certificate": { "publish": ["#"] }
              },
              "anonymous": { "publish": ["devices/#"] }
            }
            """);

        Assert.Equal(["pump-17", "by certificate"], users.All.Select(user => user.Name));
        User pump = users.Find("pump-17")!;
        Assert.True(pump.Password!.Verify("secret"u8));
        Assert.Equal(["devices/%u/#"], pump.Permissions.Publish.Select(filter => filter.Text));
        Assert.Equal(["commands/%u/#", "news"], pump.Permissions.Subscribe.Select(filter => filter.Text));
        Assert.Null(users.Find("by certificate")!.Password);
        Assert.Empty(users.Find("by certificate")!.Permissions.Subscribe);
        Assert.Equal(["devices/#"], users.Anonymous!.Publish.Select(filter => filter.Text));
        Assert.Null(users.Find("Pump-17"));
    }

    [Fact]
    public void An_empty_object_lets_nobody_in()
    {
        Users users = Parse("{}");
        Assert.Empty(users.All);
        Assert.Null(users.Anonymous);
    }

    [Theory]
    [InlineData("", 1, "is not JSON")]
    [InlineData("[]", 1, "JSON object")]
    [InlineData("{\n\"users\": [] }", 2, "'users' must be an object")]
    [InlineData("{\n\"user\": {} }", 2, "'user' is unknown")]
    [InlineData("{ \"users\": {\n\"a\": {},\n\"a\": {} } }", 3, "'a' stands here twice")]
    [InlineData("{ \"users\": {\n\"\": {} } }", 2, "a user's name")]
    [InlineData("{ \"users\": {\n\"a\\u0007\": {} } }", 2, "a user's name")]
    [InlineData("{ \"users\": {\n\"a\":\n{ \"password\": \"plain\" } } }", 3, "$pbkdf2-sha256$")]
    [InlineData("{ \"users\": { \"a\":\n{ \"password\": 5 } } }", 2, "the password of 'a'")]
    [InlineData("{ \"users\": { \"a\":\n{ \"publish\": \"#\" } } }", 2, "'publish' must be a list")]
    [InlineData("{ \"users\": { \"a\":\n{ \"publish\": [\n\"a\",\n\"a#\" ] } } }", 4, "'a#' is no topic filter")]
    [InlineData("{ \"users\": { \"a\":\n{ \"read\": [] } } }", 2, "'read' of 'a' is unknown")]
    [InlineData("{ \"anonymous\":\n{ \"password\": \"x\" } }", 2, "'password' of 'anonymous' is unknown")]
    [InlineData("{ \"anonymous\": { \"publish\": [\n\"a/%u\" ] } }", 2, "names the user")]
    [InlineData("{ \"users\": { \"a\": {} }\n", 2, "is not JSON")]
    [InlineData("{}\n{}", 2, "is not JSON")]
    public void What_is_wrong_is_told_with_its_line(string json, int line, string reason)
    {
        string message = Assert.Throws<UsersFileException>(() => Parse(json)).Message;
        Assert.Contains($"users.json, line {line}", message, StringComparison.Ordinal);
        Assert.Contains(reason, message, StringComparison.Ordinal);
    }

    [Fact]
    public void Bytes_that_are_no_text_are_told_with_their_line()
    {
        byte[] bytes = [.. "{ \"users\": {\n\""u8, 0xFF, .. "\": {} } }"u8];
        string message = Assert.Throws<UsersFileException>(() => UsersFile.Parse(bytes, "users.json")).Message;
        Assert.Contains("line 2", message, StringComparison.Ordinal);
    }

    [Fact]
    [UnsupportedOSPlatform("windows")]
    public void What_is_written_is_read_again_and_nobody_else_may_read_it()
    {
        using var directory = new TemporaryDirectory();
        string path = directory.File("users.json");
        var written = new Users(
            [new User("ä\"b", PasswordHash.Parse(Hash), new Permissions([TopicGrant.Parse("a/%u")], []))],
            new Permissions([], [TopicGrant.Parse("#")]));
        UsersFile.Write(path, written);
        Users read = UsersFile.Read(path);

        Assert.Equal(Hash, read.Find("ä\"b")!.Password!.ToString());
        Assert.Equal("a/%u", Assert.Single(read.Find("ä\"b")!.Permissions.Publish).Text);
        Assert.Equal("#", Assert.Single(read.Anonymous!.Subscribe).Text);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(path));
        Assert.Equal([path], Directory.GetFiles(Path.GetDirectoryName(path)!));
    }

    [Fact]
    [UnsupportedOSPlatform("windows")]
    public void A_file_that_is_replaced_keeps_its_mode()
    {
        using var directory = new TemporaryDirectory();
        string path = directory.File("users.json");
        File.WriteAllText(path, "{}");
        const UnixFileMode Mode = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead;
        File.SetUnixFileMode(path, Mode);
        UsersFile.Write(path, UsersFile.Read(path));
        Assert.Equal(Mode, File.GetUnixFileMode(path));
    }

    [Fact]
    public void A_file_that_is_not_there_is_named() =>
        Assert.Contains("/nowhere/users.json", Assert.Throws<UsersFileException>(() => UsersFile.Read("/nowhere/users.json")).Message, StringComparison.Ordinal);

    private static Users Parse(string json) => UsersFile.Parse(Encoding.UTF8.GetBytes(json), "users.json");
}
