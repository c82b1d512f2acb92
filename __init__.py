"""EAD-Net as a ComfyUI node pack. ComfyUI reads this file; the library itself is `eadnet_core`.

The body is guarded: pytest imports this file too, without a package around it, and must find nothing in it.
"""

if __package__:
    WEB_DIRECTORY = "./web"

    async def comfy_entrypoint() -> object:
        """The extension; everything is imported here and not at start-up."""
        from .nodes import EADNetExtension

        return EADNetExtension()

    __all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]
