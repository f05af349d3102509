"""Colours of the phones, handed to mini apps as ThemeParams.

Source: https://core.telegram.org/bots/webapps#themeparams
"""

THEMES: dict[str, dict[str, str]] = {
    "light": {
        "bg_color": "#ffffff",
        "text_color": "#000000",
        "hint_color": "#707579",
        "link_color": "#2481cc",
        "button_color": "#2481cc",
        "button_text_color": "#ffffff",
        "secondary_bg_color": "#f4f4f5",
        "header_bg_color": "#ffffff",
        "accent_text_color": "#2481cc",
        "section_bg_color": "#ffffff",
        "section_header_text_color": "#707579",
        "subtitle_text_color": "#707579",
        "destructive_text_color": "#d14e4e",
    },
    "dark": {
        "bg_color": "#1c242e",
        "text_color": "#eef2f6",
        "hint_color": "#93a1b0",
        "link_color": "#6ab2f2",
        "button_color": "#3e88d6",
        "button_text_color": "#ffffff",
        "secondary_bg_color": "#141a21",
        "header_bg_color": "#1c242e",
        "accent_text_color": "#6ab2f2",
        "section_bg_color": "#1c242e",
        "section_header_text_color": "#93a1b0",
        "subtitle_text_color": "#93a1b0",
        "destructive_text_color": "#ff6d65",
    },
}
