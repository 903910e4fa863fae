using System.CommandLine;
using System.Text;
using Tributary.Edge.Access;

namespace Tributary.Edge.Host;

/// <summary>
/// <c>tributary-edge user add|remove|list</c>: edits a users file. A running agent takes the new one by itself. One change at a time: of
/// two that overlap, one may be lost.
/// </summary>
internal static class UserCommand
{
    private static readonly Option<string> File = new("--file")
    {
        HelpName = "FILE",
        Description = "The users file, which mqtt:usersFile names.",
        Required = true,
    };

    private static readonly Argument<string> Name = new("name") { Description = "Name of the user." };

    private static readonly Option<string[]> Publish = new("--publish")
    {
        HelpName = "FILTER",
        Description = "Topics to publish to; %u is the user's name, %c the client identifier. May be given several times.",
    };

    private static readonly Option<string[]> Subscribe = new("--subscribe")
    {
        HelpName = "FILTER",
        Description = "Topics to subscribe to.",
    };

    private static readonly Option<bool> NoPassword = new("--no-password")
    {
        Description = "The user comes in by a client certificate only.",
    };

    private static readonly Option<int> Iterations = new("--iterations")
    {
        HelpName = "N",
        Description = "Iterations of PBKDF2: what a check costs, and a guess.",
        DefaultValueFactory = _ => PasswordHash.DefaultIterations,
    };

    /// <summary>Makes the command.</summary>
    public static Command Create()
    {
        var add = new Command(
            "add", "Adds a user, or gives one another password, and other topics if some are given. Reads the password from standard input.")
        {
            Name, File, Publish, Subscribe, NoPassword, Iterations,
        };
        add.SetAction(parsed => Run(() => Add(
            parsed.GetRequiredValue(File), parsed.GetRequiredValue(Name), parsed.GetValue(Publish) ?? [], parsed.GetValue(Subscribe) ?? [],
            parsed.GetValue(NoPassword), parsed.GetValue(Iterations))));
        var remove = new Command("remove", "Removes a user; a running agent closes the user's connections.") { Name, File };
        remove.SetAction(parsed => Run(() => Remove(parsed.GetRequiredValue(File), parsed.GetRequiredValue(Name))));
        var list = new Command("list", "Says who there is and what they may do.") { File };
        list.SetAction(parsed => Run(() => List(parsed.GetRequiredValue(File))));
        return new Command("user", "Says who may connect and what they may do.") { add, remove, list };
    }

    private static int Run(Action action)
    {
        try
        {
            action();
            return EdgeCommand.Done;
        }
        catch (ArgumentException e)
        {
            return Say(EdgeCommand.WrongUsage, e.Message);
        }
        catch (Exception e) when (e is UsersFileException or IOException or UnauthorizedAccessException)
        {
            return Say(EdgeCommand.Failed, e.Message);
        }
    }

    private static int Say(int code, string message)
    {
        Console.Error.WriteLine($"tributary-edge: {message}");
        return code;
    }

    private static void Add(string path, string name, string[] publish, string[] subscribe, bool noPassword, int iterations)
    {
        if (!UsersFile.IsName(name))
        {
            throw new ArgumentException($"a user's name must have 1 to {UsersFile.MaxNameLength} characters and no control characters");
        }
        if (iterations is < PasswordHash.MinIterations or > PasswordHash.MaxIterations)
        {
            throw new ArgumentException($"--iterations must be from {PasswordHash.MinIterations} to {PasswordHash.MaxIterations}");
        }
        List<TopicGrant> mayPublish = Filters("--publish", publish), maySubscribe = Filters("--subscribe", subscribe);
        Users users = System.IO.File.Exists(path) ? UsersFile.Read(path) : new Users([], null);
        User? before = users.Find(name);
        PasswordHash? password = noPassword ? null : PasswordHash.Create(ReadPassword(name), iterations);
        var after = new User(
            name, password,
            new Permissions(
                publish.Length > 0 || before is null ? mayPublish : before.Permissions.Publish,
                subscribe.Length > 0 || before is null ? maySubscribe : before.Permissions.Subscribe));
        UsersFile.Write(
            path, new Users(before is null ? [.. users.All, after] : [.. users.All.Select(user => user.Name == name ? after : user)], users.Anonymous));
        Console.Out.WriteLine($"{(before is null ? "added" : "changed")} {Describe(after)}");
    }

    private static void Remove(string path, string name)
    {
        Users users = UsersFile.Read(path);
        if (users.Find(name) is null)
        {
            throw new UsersFileException($"the users file {path} has no user '{name}'");
        }
        UsersFile.Write(path, new Users([.. users.All.Where(user => user.Name != name)], users.Anonymous));
        Console.Out.WriteLine($"removed {name}");
    }

    private static void List(string path)
    {
        Users users = UsersFile.Read(path);
        foreach (User user in users.All)
        {
            Console.Out.WriteLine(Describe(user));
        }
        if (users.Anonymous is { } anonymous)
        {
            Console.Out.WriteLine($"(anonymous): {Describe(anonymous)}");
        }
    }

    private static string Describe(User user) =>
        $"{user.Name}{(user.Password is null ? " (by certificate only)" : "")}: {Describe(user.Permissions)}";

    private static string Describe(Permissions permissions) =>
        $"publish {Describe(permissions.Publish)}; subscribe {Describe(permissions.Subscribe)}";

    private static string Describe(IReadOnlyList<TopicGrant> filters) =>
        filters.Count == 0 ? "nothing" : string.Join(", ", filters.Select(filter => filter.Text));

    private static List<TopicGrant> Filters(string option, string[] texts)
    {
        try
        {
            return [.. texts.Select(TopicGrant.Parse)];
        }
        catch (FormatException e)
        {
            throw new ArgumentException($"{option}: {e.Message}", e);
        }
    }

    /// <summary>A line of standard input; of a terminal without showing it.</summary>
    private static byte[] ReadPassword(string name)
    {
        string? line;
        if (Console.IsInputRedirected)
        {
            line = Console.In.ReadLine();
        }
        else
        {
            Console.Error.Write($"Password of {name}: ");
            line = ReadHidden();
            Console.Error.WriteLine();
        }
        byte[] password = Encoding.UTF8.GetBytes(line ?? "");
        return password.Length is > 0 and <= PasswordHash.MaxPasswordBytes
            ? password
            : throw new ArgumentException($"the password on standard input must have 1 to {PasswordHash.MaxPasswordBytes} bytes (or give --no-password)");
    }

    private static string ReadHidden()
    {
        var typed = new StringBuilder();
        while (Console.ReadKey(intercept: true) is { Key: not ConsoleKey.Enter } key)
        {
            if (key.Key == ConsoleKey.Backspace)
            {
                typed.Length = Math.Max(0, typed.Length - 1);
            }
            else if (!char.IsControl(key.KeyChar))
            {
                typed.Append(key.KeyChar);
            }
        }
        return typed.ToString();
    }
}
