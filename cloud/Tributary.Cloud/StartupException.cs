namespace Tributary.Cloud;

/// <summary>The program can't listen or open its data; the message is a sentence for the user. Exit code 3.</summary>
internal sealed class StartupException : Exception
{
    public StartupException(string message) : base(message) { }

    public StartupException(string message, Exception inner) : base(message, inner) { }
}
