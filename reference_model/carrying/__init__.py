"""What is carried from remembered frames into new ones: sharp where a small transformer paints softly."""
