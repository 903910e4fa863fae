namespace System.Runtime.CompilerServices;

/// <summary>Lets records be compiled for the framework that compilers run generators on.</summary>
internal static class IsExternalInit;
