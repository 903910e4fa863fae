// Read by the runtime with the first socket. What follows a read is short and never waits, so the thread that waits for sockets does it
// itself: handing it to another one costs more, on two cores a third of the processor's time. (Whatever takes long hops away first.)
const string InlineCompletions = "DOTNET_SYSTEM_NET_SOCKETS_INLINE_COMPLETIONS";
Environment.SetEnvironmentVariable(InlineCompletions, Environment.GetEnvironmentVariable(InlineCompletions) ?? "1");

return await Tributary.Edge.Host.EdgeCommand.RunAsync(args);
