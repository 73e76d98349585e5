"""Where videos come from: the web through yt-dlp, the local disk. No SQL, no pace, no Ray."""
