"""The routes: fields in, plan, run, render. No audio and no engine is touched here."""
